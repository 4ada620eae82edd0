// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * IP addresses as numbers, so that a network configuration can be checked without a system to ask.
 */

export interface Ip {
  readonly family: 4 | 6;
  readonly value: bigint;
}

export interface Prefix {
  readonly ip: Ip;
  readonly length: number;
}

const bitsOf = (family: Ip["family"]): number => (family === 4 ? 32 : 128);

/** An IPv4 or IPv6 address in its usual text form, without zone: `192.0.2.1`, `2001:db8::1`. */
export function parseIp(text: string): Ip | undefined {
  const v4 = parseV4(text);
  if (v4 !== undefined) return { family: 4, value: v4 };
  const v6 = parseV6(text);
  return v6 === undefined ? undefined : { family: 6, value: v6 };
}

/** An address with its prefix length: `192.0.2.1/24`. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address = "", length = "", ...rest] = text.split("/");
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0 || !/^(?:0|[1-9]\d{0,2})$/.test(length)) return undefined;
  return Number(length) > bitsOf(ip.family) ? undefined : { ip, length: Number(length) };
}

/** Whether the address lies in the network that the prefix stands for. */
export function isInside(ip: Ip, prefix: Prefix): boolean {
  if (ip.family !== prefix.ip.family) return false;
  const hostBits = BigInt(bitsOf(ip.family) - prefix.length);
  return ip.value >> hostBits === prefix.ip.value >> hostBits;
}

const LINK_LOCAL: Prefix = { ip: { family: 6, value: 0xfe80n << 112n }, length: 10 };

/** IPv6 link-local addresses (RFC 4291, 2.5.6) need no route: they are always on the link. */
export const isLinkLocal = (ip: Ip): boolean => isInside(ip, LINK_LOCAL);

/** Four decimal numbers without leading zeros, which some programs would read as octal. */
function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  if (!parts.every((p) => /^(?:0|[1-9]\d{0,2})$/.test(p) && Number(p) < 256)) return undefined;
  return parts.reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

/** RFC 4291, 2.2: eight groups, of which one run may be written `::`, and an IPv4 tail. */
function parseV6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head = "", tail] = halves;
  const before = parseGroups(head, tail === undefined);
  const after = tail === undefined ? [] : parseGroups(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...before, ...Array<bigint>(missing).fill(0n), ...after];
  return groups.reduce((value, group) => (value << 16n) | group, 0n);
}

function parseGroups(text: string, mayEndInV4: boolean): bigint[] | undefined {
  if (text === "") return [];
  const groups: bigint[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    const v4 = mayEndInV4 && i === parts.length - 1 ? parseV4(part) : undefined;
    if (v4 !== undefined) groups.push(v4 >> 16n, v4 & 0xffffn);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return groups;
}
