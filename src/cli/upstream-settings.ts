// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { minutes } from "../base/units.ts";
import type { UpstreamConfig } from "../registry/mirror/upstream.ts";
import { isRepository } from "../registry/reference.ts";
import { readCertificates, readSecret } from "./files.ts";
import { durationSetting, listSetting, urlsSetting } from "./setting-values.ts";
import type { Settings } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/**
 * The registry that ours mirrors, if any.
 * @throws {ProvError} `CONFIG_INVALID`, `USAGE` for a file that cannot be read
 */
export async function upstreamFrom(
  settings: Settings,
  terminal: Terminal,
): Promise<{ registryUpstream?: UpstreamConfig }> {
  const [base, ...others] = urlsSetting(settings, "registry_upstream");
  if (base === undefined) return {};
  if (others.length > 0) throw unusable("it names more than one registry");
  const url = new URL(base);
  const prefix = url.pathname.replace(/^\/+|\/+$/g, "");
  if (prefix !== "" && !isRepository(prefix)) {
    throw unusable(`"${prefix}" cannot begin a repository's name`);
  }
  const { registry_upstream_ca_file: ca } = settings;
  return {
    registryUpstream: {
      registry: url.origin,
      prefix,
      authorization: await authorizationFrom(settings, terminal),
      ca: ca === undefined ? null : await readCertificates(ca, terminal),
      ttl: durationSetting(settings, "registry_upstream_ttl") ?? minutes(5),
      repositories: listSetting(settings, "registry_upstream_repositories"),
    },
  };
}

async function authorizationFrom(settings: Settings, terminal: Terminal): Promise<string | null> {
  const { registry_upstream_user: user, registry_upstream_password_file: file } = settings;
  if (user === undefined && file === undefined) return null;
  if (user === undefined || file === undefined) {
    throw unusable("of user and password file only one is set", "Set both, or neither.");
  }
  const password = await readSecret(file, terminal);
  if (password === "") throw unusable(`its password file ${file} is empty`);
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function unusable(why: string, hint?: string): ProvError {
  return new ProvError(`Cannot use the upstream registry: ${why}`, {
    code: "CONFIG_INVALID",
    ...(hint !== undefined && { hint }),
  });
}
