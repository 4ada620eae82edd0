// SPDX-License-Identifier: AGPL-3.0-or-later
import { join } from "node:path";
import { ProvError } from "../../base/errors.ts";
import { type Finding, renderFindings } from "../../base/findings.ts";
import { createKeyedLock } from "../../base/keyed-lock.ts";
import { writeWhole } from "../storage/durable.ts";
import { parsePolicy } from "./parse-policy.ts";
import { EMPTY_POLICY, type Policy } from "./policy.ts";
import { renderPolicy } from "./render-policy.ts";

export type PolicyChange =
  | { readonly kind: "set"; readonly version: string }
  | { readonly kind: "invalid"; readonly findings: readonly Finding[] }
  /** It is not the version any more that the change was made from. */
  | { readonly kind: "outdated"; readonly version: string };

export interface PolicyFile {
  policy(): Policy;
  /** Of the policy's content: the same policy has the same version. */
  version(): string;
  /**
   * Replaces the policy, on disk before it counts.
   * @param expected the version that is to be replaced; null: any.
   */
  set(document: unknown, expected: string | null): Promise<PolicyChange>;
}

/**
 * Opens `<root>/policy.json`. Without one the registry has the empty policy.
 * @throws {ProvError} `CONFIG_INVALID` when it cannot be read: a registry must not open itself to
 *   everybody because of a slip in a file.
 */
export async function openPolicyFile(root: string): Promise<PolicyFile> {
  const path = join(root, "policy.json");
  let policy = await readPolicy(path);
  let version = versionOf(policy);
  const lock = createKeyedLock();
  return {
    policy: () => policy,
    version: () => version,
    set: (document, expected) =>
      lock.run("policy", async () => {
        if (expected !== null && expected !== version) return { kind: "outdated", version };
        const parsed = parsePolicy(document);
        if (parsed.policy === undefined) return { kind: "invalid", findings: parsed.findings };
        await writeWhole(path, textOf(parsed.policy));
        policy = parsed.policy;
        version = versionOf(policy);
        return { kind: "set", version };
      }),
  };
}

async function readPolicy(path: string): Promise<Policy> {
  const trying = `Cannot use the registry's policy ${path}`;
  const hint = "Correct the file, or remove it to start with the empty policy.";
  const file = Bun.file(path);
  if (!(await file.exists())) return EMPTY_POLICY;
  let document: unknown;
  try {
    document = await file.json();
  } catch (cause) {
    throw new ProvError(trying, { code: "CONFIG_INVALID", cause, hint });
  }
  const { policy, findings } = parsePolicy(document);
  if (policy !== undefined) return policy;
  throw new ProvError(`${trying}: ${renderFindings(findings)}`, { code: "CONFIG_INVALID", hint });
}

const textOf = (policy: Policy): string => `${JSON.stringify(renderPolicy(policy), null, 2)}\n`;

const versionOf = (policy: Policy): string =>
  new Bun.CryptoHasher("sha256").update(textOf(policy)).digest("hex").slice(0, 16);
