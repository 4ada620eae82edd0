// SPDX-License-Identifier: AGPL-3.0-or-later
import { formatBytes } from "../../base/units.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { OciError } from "../oci-error.ts";
import { type Policy, type Rule, ruleFor } from "./policy.ts";

export interface Quota {
  /** Bytes that may still come into the repository; Infinity where nothing limits it. */
  room(repository: string): number;
  /** @throws {OciError} `DENIED` when `bytes` more do not fit. */
  require(repository: string, bytes: number): void;
  /** Like `require`, and holds the bytes until they are in the catalog: two that come together share the room. */
  reserve(repository: string, bytes: number): Disposable;
}

export function createQuota(catalog: Pick<Catalog, "usage">, policy: () => Policy): Quota {
  const held = new Map<symbol, { readonly repository: string; readonly bytes: number }>();

  /** Of all repositories for which the rule counts. */
  function used(rule: Rule): number {
    const now = policy();
    const all = [...catalog.usage(), ...held.values()];
    return all
      .filter(({ repository }) => ruleFor(now, repository) === rule)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  }

  function require(repository: string, bytes: number): void {
    const rule = ruleFor(policy(), repository);
    if (rule.quotaBytes === null) return;
    const before = used(rule);
    if (before + bytes > rule.quotaBytes) throw overQuota(rule, before, bytes);
  }

  return {
    require,
    room(repository) {
      const rule = ruleFor(policy(), repository);
      return rule.quotaBytes === null ? Number.POSITIVE_INFINITY : rule.quotaBytes - used(rule);
    },
    reserve(repository, bytes) {
      require(repository, bytes);
      const key = Symbol(repository);
      held.set(key, { repository, bytes });
      return { [Symbol.dispose]: () => void held.delete(key) };
    },
  };
}

function overQuota({ repositories, quotaBytes }: Rule, used: number, bytes: number): OciError {
  const quota = formatBytes(quotaBytes ?? 0);
  return new OciError(
    `the quota of ${repositories} is ${quota}, of which ${formatBytes(used)} are used: ${formatBytes(bytes)} more do not fit`,
    { code: "DENIED", detail: { quota: quotaBytes, used } },
  );
}
