// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * Text from elsewhere, fit for a terminal: whoever pushes, or asks, chooses names and annotations, and none
 * of them may steer it. Line ends stay.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return text.replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "\u{fffd}");
}
