// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * The records of a pax header: `<length> <key>=<value>\n` each, the length in bytes and of the whole
 * record (POSIX.1-2017, pax, "pax Header Block").
 *
 * @param offset of the header, for messages.
 * @throws {SyntaxError}
 */
export function parsePax(bytes: Uint8Array, offset: number): Map<string, string> {
  const records = new Map<string, string>();
  const text = Buffer.from(bytes);
  let at = 0;
  while (at < text.length) {
    const space = text.indexOf(" ", at);
    const digits = text.toString("latin1", at, Math.max(at, space));
    const end = at + Number(digits);
    const equals = text.indexOf("=", space);
    const isRecord = /^[1-9]\d{0,6}$/.test(digits) && equals !== -1 && equals < end;
    if (!isRecord || end > text.length || text[end - 1] !== 0x0a) {
      throw new SyntaxError(`the pax header at offset ${offset} is damaged`);
    }
    records.set(
      text.toString("utf8", space + 1, equals),
      text.toString("utf8", equals + 1, end - 1),
    );
    at = end;
  }
  return records;
}
