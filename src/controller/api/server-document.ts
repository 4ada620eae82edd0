// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../../base/findings.ts";
import { at, type JsonObject, property, stringAt } from "../../base/json.ts";
import { type BmcTls, DELIVERIES, type Delivery, type Server } from "../../jobs/job.ts";
import type { NetworkConfig } from "../../jobs/network.ts";
import { parseNetworkConfig } from "../../jobs/network-parse.ts";
import { Refusal } from "./errors.ts";
import { toTime } from "./job-document.ts";

export type NewServer = Omit<Server, "createdAt" | "updatedAt" | "capabilities">;

/** A server as the API shows it: all but the BMC's password. */
export function toServerDocument(server: Server) {
  const { url, username, tls } = server.bmc;
  return {
    serial: server.serial,
    bmc: { url, username, tls },
    delivery: server.delivery,
    network: server.network,
    capabilities: server.capabilities,
    created_at: toTime(server.createdAt),
    updated_at: toTime(server.updatedAt),
  };
}

/** DMI strings in the field: printable, sometimes with blanks and dots inside, never with a slash. */
const SERIAL = /^[A-Za-z0-9](?:[A-Za-z0-9 ._:+-]{0,62}[A-Za-z0-9])?$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;

/**
 * Reads the body of `PUT /api/v1/servers/{serial}`.
 * @param known the server as it is: a body without a password keeps its own, unless the address changes.
 * @throws {Refusal} `validation_error` with everything that is wrong.
 */
export function parseServer(
  serial: string,
  body: JsonObject,
  known: Server | undefined,
): NewServer {
  const findings: Finding[] = [];
  const find = (path: string, code: string, message: string) => {
    findings.push({ path, code, message });
  };
  if (!SERIAL.test(serial)) find("", "serial", `"${serial}" cannot be a product serial`);
  const username = stringAt(body, "bmc", "username") ?? "";
  if (username === "") find("/bmc/username", "required", "is required");
  const url = parseBmcUrl(stringAt(body, "bmc", "url"), find);
  // Kept for the same BMC only: at another address it would be told to whoever listens there.
  const kept = known?.bmc.url === url ? known.bmc.password : "";
  const password = stringAt(body, "bmc", "password") ?? kept;
  if (password === "") {
    find("/bmc/password", "required", "is required for a new server and for another address");
  }
  const bmc = {
    url,
    username,
    password,
    tls: parseTls(at(body, "bmc", "tls"), find),
  };
  const delivery = parseDelivery(body.delivery, find);
  const network = parseNetwork(body.network, find);
  if (findings.length > 0) {
    throw new Refusal("validation_error", "The server is invalid", { details: findings });
  }
  return { serial, bmc, delivery, network };
}

type Find = (path: string, code: string, message: string) => void;

function parseBmcUrl(text: string | undefined, find: Find): string {
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined;
  const isRoot =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.username === "" &&
    url.search === "" &&
    /^\/(?:redfish\/v1\/?)?$/.test(url.pathname);
  if (isRoot) return url.origin;
  find("/bmc/url", "format", "must be the BMC's address, such as https://10.0.0.7");
  return "";
}

function parseTls(value: unknown, find: Find): BmcTls {
  if (value === undefined || value === null) return { mode: "verify" };
  const mode = stringAt(value, "mode");
  if (mode === "verify" || mode === "insecure") return { mode };
  const fingerprint = stringAt(value, "fingerprint")?.replaceAll(":", "").toLowerCase() ?? "";
  if (mode !== "pinned") find("/bmc/tls/mode", "enum", "must be verify, pinned or insecure");
  else if (!FINGERPRINT.test(fingerprint)) {
    find("/bmc/tls/fingerprint", "format", "must be the certificate's SHA-256 in hex");
  }
  return { mode: "pinned", fingerprint };
}

function parseDelivery(value: unknown, find: Find): Delivery | null {
  if (value === undefined || value === null) return null;
  const known = DELIVERIES.find((delivery) => delivery === value);
  if (known === undefined) find("/delivery", "enum", `must be one of ${DELIVERIES.join(", ")}`);
  return known ?? null;
}

function parseNetwork(value: unknown, find: Find): NetworkConfig | null {
  if (value === undefined || value === null) return null;
  const parsed = parseNetworkConfig(value);
  for (const { path, code, message } of parsed.findings) find(`/network${path}`, code, message);
  return parsed.config ?? null;
}

/** Reads `{"action": "on" | "off" | "reset"}`. @throws {Refusal} `validation_error` */
export function parsePowerAction(body: JsonObject): "on" | "off" | "reset" {
  const action = property(body, "action");
  if (action === "on" || action === "off" || action === "reset") return action;
  throw new Refusal("validation_error", "The power action is invalid", {
    details: [{ path: "/action", code: "enum", message: "must be on, off or reset" }],
  });
}
