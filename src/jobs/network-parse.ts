// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import { parseIp, parsePrefix } from "./ip.ts";
import type { NetworkConfig } from "./network.ts";
import { checkNetwork } from "./network-check.ts";

/** The configuration, or everything that is wrong with the document. */
export type ParsedNetworkConfig =
  | { readonly config: NetworkConfig; readonly findings: readonly [] }
  | { readonly config: undefined; readonly findings: readonly Finding[] };

/**
 * The only way a document becomes a {@link NetworkConfig}. Fields that it does not know are refused:
 * a misspelt one would leave a server in the rack without a network.
 */
export function parseNetworkConfig(document: unknown): ParsedNetworkConfig {
  const findings: Finding[] = [];
  readObject(document, "", CONFIG, findings);
  if (findings.length > 0) return { config: undefined, findings };
  const config = document as NetworkConfig;
  const broken = checkNetwork(config);
  return broken.length > 0
    ? { config: undefined, findings: broken }
    : { config, findings: [] as const };
}

type Read = (value: unknown, path: string, findings: Finding[]) => void;
interface Field {
  readonly read: Read;
  readonly required?: true;
}
type Fields = Readonly<Record<string, Field>>;

/** IFNAMSIZ less its terminator; no `%`, `/`, `:` or blanks, which the kernel or udev refuse. */
const LINK_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,14}$/;
const MAC = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/;
const DOMAIN = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/;
/** RFC 8200, 5: no link that carries IPv6 has less; jumbo frames end at 9216 on real switches. */
const MTU = { min: 1280, max: 9216 };
/** More than any server has; keeps a hostile document small. */
const MAX_ITEMS = 64;

const isIp = (text: string) => parseIp(text) !== undefined;
const isPrefix = (text: string) => parsePrefix(text) !== undefined;

const linkName = text((t) => LINK_NAME.test(t), "a link name of 1 to 15 characters");
const mac = text((t) => MAC.test(t), "a MAC in lower case with colons");
const ip = text(isIp, "an IP address");
const prefix = text(isPrefix, "an address with prefix length");

const ROUTE: Fields = {
  to: {
    read: text((t) => t === "default" || isPrefix(t), '"default" or a prefix'),
    required: true,
  },
  via: { read: ip, required: true },
};

const ADDRESSING: Fields = {
  type: { read: () => undefined, required: true },
  name: { read: linkName, required: true },
  mtu: { read: integer(MTU.min, MTU.max) },
  dhcp: { read: boolean },
  addresses: { read: list(prefix) },
  routes: { read: list((value, path, findings) => readObject(value, path, ROUTE, findings)) },
};

const INTERFACES: Readonly<Record<string, Fields>> = {
  ethernet: { ...ADDRESSING, mac: { read: mac, required: true } },
  bond: {
    ...ADDRESSING,
    members: { read: list(mac, 1), required: true },
    mode: { read: oneOf(["802.3ad", "active-backup", "balance-xor"]), required: true },
  },
  vlan: {
    ...ADDRESSING,
    id: { read: integer(1, 4094), required: true },
    link: { read: linkName, required: true },
  },
};

const CONFIG: Fields = {
  interfaces: { read: list(readInterface, 1), required: true },
  dns: { read: list(ip) },
  search: { read: list(text((t) => DOMAIN.test(t), "a domain name")) },
};

function readInterface(value: unknown, path: string, findings: Finding[]): void {
  const type = isObject(value) ? value.type : undefined;
  const fields = typeof type === "string" ? own(INTERFACES, type) : undefined;
  if (isObject(value) && fields === undefined) {
    oneOf(Object.keys(INTERFACES))(type, `${path}/type`, findings);
    return;
  }
  readObject(value, path, fields ?? {}, findings);
}

function readObject(value: unknown, path: string, fields: Fields, findings: Finding[]): void {
  if (!isObject(value)) {
    findings.push({ path, code: "type", message: "must be an object" });
    return;
  }
  for (const [key, { read, required }] of Object.entries(fields)) {
    if (Object.hasOwn(value, key)) read(value[key], `${path}/${key}`, findings);
    else if (required) findings.push({ path, code: "required", message: `must have "${key}"` });
  }
  findings.push(...unknownFields(value, path, fields));
}

function unknownFields(value: JsonObject, path: string, fields: Fields): Finding[] {
  return Object.keys(value)
    .filter((key) => own(fields, key) === undefined)
    .map((key) => ({
      path: `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`,
      code: "additionalProperties",
      message: "is not a field of the network configuration",
    }));
}

const own = <T>(table: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(table, key) ? table[key] : undefined;

function text(matches: (value: string) => boolean, what: string): Read {
  return (value, path, findings) => {
    if (typeof value !== "string" || !matches(value)) {
      findings.push({ path, code: "format", message: `must be ${what}` });
    }
  };
}

function oneOf(choices: readonly string[]): Read {
  return (value, path, findings) => {
    if (typeof value !== "string" || !choices.includes(value)) {
      findings.push({ path, code: "enum", message: `must be one of ${choices.join(", ")}` });
    }
  };
}

function integer(min: number, max: number): Read {
  return (value, path, findings) => {
    if (!Number.isInteger(value) || Number(value) < min || Number(value) > max) {
      findings.push({ path, code: "range", message: `must be an integer from ${min} to ${max}` });
    }
  };
}

function boolean(value: unknown, path: string, findings: Finding[]): void {
  if (typeof value !== "boolean") {
    findings.push({ path, code: "type", message: "must be true or false" });
  }
}

function list(item: Read, min = 0): Read {
  return (value, path, findings) => {
    if (!Array.isArray(value) || value.length < min || value.length > MAX_ITEMS) {
      const message = `must be a list of ${min} to ${MAX_ITEMS} items`;
      findings.push({ path, code: "type", message });
      return;
    }
    for (const [i, entry] of value.entries()) item(entry, `${path}/${i}`, findings);
  };
}
