// SPDX-License-Identifier: AGPL-3.0-or-later
// Bun's types know the text imports of the usual endings, and not this one.
declare module "*.sql" {
  const text: string;
  // biome-ignore lint/style/noDefaultExport: what a text import gives.
  export default text;
}
