// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The command line's side of the controller's API. Where the controller is and who we are comes from the
 * environment (`PROV_URL`, `PROV_USER`, `PROV_PASSWORD`, `PROV_CA_FILE`) or from
 * `~/.config/prov/client.yaml` with the keys url, user, password and ca_file.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isDistrust } from "../base/distrust.ts";
import { type ErrorCode, ProvError } from "../base/errors.ts";
import { arrayAt, stringAt } from "../base/json.ts";
import type { Cli } from "./command.ts";
import { readCertificates, readYaml } from "./files.ts";
import type { Terminal } from "./terminal.ts";

export interface Api {
  /** @throws {ProvError} by status; the message is the controller's own. */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<unknown>;
  /** A document that is changed by version: what to send as If-Match. */
  read(path: string): Promise<{ readonly document: unknown; readonly version: string }>;
  readonly url: string;
  readonly authorization: string | null;
  readonly ca: string | null;
}

const DEFAULT_URL = "http://127.0.0.1:8080";

interface Settings {
  readonly url: string;
  readonly authorization: string | null;
  /** PEM */
  readonly ca: string | null;
}

/** @throws {ProvError} `CONFIG_INVALID` for settings that cannot be used; nothing is sent yet. */
export async function connect({ terminal, fetch }: Cli): Promise<Api> {
  const { url, authorization, ca } = await readSettings(terminal);

  const send = async (method: string, path: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (authorization !== null) headers.set("authorization", authorization);
    let response: Response;
    try {
      response = await fetch(`${url}${path}`, {
        ...init,
        method,
        headers,
        // It would take a new user's password, or a BMC's, wherever it leads.
        redirect: "manual",
        signal: terminal.signal,
        ...(ca !== null && { tls: { ca } }),
      });
    } catch (error) {
      terminal.signal.throwIfAborted();
      throw new ProvError(`Cannot reach the controller at ${url}`, {
        code: "CONTROLLER_UNREACHABLE",
        cause: error,
        hint: isDistrust(error)
          ? "Set PROV_CA_FILE to the CA that signed the controller's certificate, and PROV_URL to a name that is in it."
          : "Set PROV_URL to the controller's address, and check that prov serve is running there.",
      });
    }
    const elsewhere = response.headers.get("location");
    if (response.status >= 300 && response.status < 400 && elsewhere !== null) {
      throw redirected(url, elsewhere);
    }
    if (!response.ok) throw await refusal(response, `${method} ${path}`);
    return response;
  };

  return {
    url,
    authorization,
    ca,
    async read(path) {
      const response = await send("GET", path, {});
      const version = (response.headers.get("etag") ?? "").replaceAll('"', "");
      return { document: parseAnswer(await response.text(), url), version };
    },
    async call(method, path, body, headers) {
      const merged = new Headers(headers);
      if (body !== undefined) merged.set("content-type", "application/json");
      const response = await send(method, path, {
        headers: merged,
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return text === "" ? undefined : parseAnswer(text, url);
    },
  };
}

/**
 * As {@link connect}, for what goes on patiently when the line drops: a wrong address, or a controller that is not
 * there, must be said at once and not after a quarter of an hour.
 * @throws {ProvError} also `CONTROLLER_UNREACHABLE`
 */
export async function reach(cli: Cli): Promise<Api> {
  const api = await connect(cli);
  try {
    // Not /v2/: that would count a wrong password twice, and a request where those are limited.
    await api.call("GET", "/healthz");
  } catch (error) {
    // It is there when it answers: what it thinks of the request itself is waited for patiently.
    if (!(error instanceof Refused)) throw error;
  }
  return api;
}

/** The controller has answered, and it was no. */
class Refused extends ProvError {}

function redirected(url: string, elsewhere: string): ProvError {
  const origin = URL.parse(elsewhere, url)?.origin ?? elsewhere;
  return new ProvError(`Cannot use ${url}: it leads to ${origin}`, {
    code: "CONTROLLER_UNREACHABLE",
    hint: "Set PROV_URL to the controller's own address.",
  });
}

function parseAnswer(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ProvError(`Cannot understand what ${url} answers`, {
      code: "CONTROLLER_UNREACHABLE",
      cause: error,
      hint: "Check that PROV_URL is the address of a prov controller.",
    });
  }
}

async function readSettings(terminal: Terminal): Promise<Settings> {
  const file = await readClientFile(terminal);
  const setting = (name: string) =>
    terminal.env[`PROV_${name.toUpperCase()}`] || stringAt(file, name);
  const url = setting("url") ?? DEFAULT_URL;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username !== "") {
    throw new ProvError("Cannot use PROV_URL: it is not the address of a controller", {
      code: "CONFIG_INVALID",
      hint: "Write it as https://host:port; user and password go into PROV_USER and PROV_PASSWORD.",
    });
  }
  const user = setting("user");
  const caFile = setting("ca_file");
  return {
    url: url.replace(/\/+$/, ""),
    ca: caFile === undefined ? null : await readCertificates(caFile, terminal),
    authorization:
      user === undefined
        ? null
        : `Basic ${Buffer.from(`${user}:${setting("password") ?? ""}`).toString("base64")}`,
  };
}

async function readClientFile(terminal: Terminal): Promise<unknown> {
  const home = terminal.env.XDG_CONFIG_HOME ?? join(terminal.env.HOME ?? "/root", ".config");
  const path = join(home, "prov/client.yaml");
  return existsSync(path) ? await readYaml(path) : {};
}

/** The API's own names of errors (controller/api/errors.ts), where they say more than the status. */
const CODE_BY_NAME: Readonly<Record<string, ErrorCode>> = {
  bmc_error: "BMC_UNREACHABLE",
  bmc_timeout: "BMC_TIMED_OUT",
  upstream_error: "REGISTRY_UNREACHABLE",
  internal: "COMMAND_FAILED",
};

const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: "USAGE",
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "CONFLICT",
  412: "CONFLICT",
  413: "USAGE",
  507: "STORAGE_FULL",
};

async function refusal(response: Response, attempt: string): Promise<Refused> {
  const text = await response.text().catch(() => "");
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    document = undefined;
  }
  const message = stringAt(document, "message") ?? `${attempt}: HTTP ${response.status}`;
  const details = arrayAt(document, "details").map(
    (detail) => `\n  ${stringAt(detail, "path") || "/"}: ${stringAt(detail, "message") ?? ""}`,
  );
  return new Refused(`${message}${details.join("")}`, {
    code:
      CODE_BY_NAME[stringAt(document, "error") ?? ""] ??
      CODE_BY_STATUS[response.status] ??
      "CONTROLLER_UNREACHABLE",
    ...(response.status === 401 && {
      hint: "Set PROV_USER and PROV_PASSWORD to a user of the controller.",
    }),
  });
}
