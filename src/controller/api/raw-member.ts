// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * The source text of one member of a JSON object: what the user wrote, byte for byte, where parsing and
 * printing again would reorder keys and rewrite numbers.
 *
 * @param text a JSON document that JSON.parse has accepted, with an object at its root.
 * @returns undefined when there is no such member; of duplicates the last, as JSON.parse takes it.
 */
export function rawMember(text: string, name: string): string | undefined {
  let found: string | undefined;
  let at = skipSpace(text, text.indexOf("{") + 1);
  while (text[at] === '"') {
    const keyEnd = skipValue(text, at);
    const key: unknown = JSON.parse(text.slice(at, keyEnd));
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1);
    const end = skipValue(text, start);
    if (key === name) found = text.slice(start, end);
    at = skipSpace(text, end);
    if (text[at] === ",") at = skipSpace(text, at + 1);
  }
  return found;
}

/** RFC 8259, 2: insignificant whitespace. */
function skipSpace(text: string, from: number): number {
  let at = from;
  while (/[ \t\n\r]/.test(text[at] ?? "")) at++;
  return at;
}

/** Where the value that starts at `from` ends. */
function skipValue(text: string, from: number): number {
  let depth = 0;
  let at = from;
  do {
    const c = text[at];
    if (c === '"') at = skipString(text, at);
    else at++;
    if (c === "{" || c === "[") depth++;
    if (c === "}" || c === "]") depth--;
  } while (depth > 0 || isScalarGoingOn(text, from, at));
  return at;
}

function skipString(text: string, from: number): number {
  let at = from + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** Numbers and literals have no end mark of their own. */
function isScalarGoingOn(text: string, from: number, at: number): boolean {
  return !/["{[]/.test(text[from] ?? "") && /[\w+\-.]/.test(text[at] ?? "");
}
