// SPDX-License-Identifier: AGPL-3.0-or-later

export interface Credentials {
  readonly name: string;
  readonly password: string;
}

/** RFC 7617. An empty name or password is nobody's. */
export function parseBasic(header: string): Credentials | undefined {
  const encoded = /^basic +([A-Za-z0-9+/_=-]+) *$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  const name = text.slice(0, colon);
  const password = text.slice(colon + 1);
  return colon > 0 && password !== "" ? { name, password } : undefined;
}
