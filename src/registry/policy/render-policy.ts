// SPDX-License-Identifier: AGPL-3.0-or-later
import type { JsonObject } from "../../base/json.ts";
import type { Keep, Policy, Rule } from "./policy.ts";
import { renderQuota } from "./quota-size.ts";

/** The document that `parsePolicy` reads; what is as if it were left out is left out. */
export function renderPolicy({ readOnly, rateLimit, keys, rules }: Policy): JsonObject {
  return {
    ...(readOnly && { read_only: true }),
    ...(rateLimit !== null && {
      rate_limit: { requests_per_second: rateLimit.requestsPerSecond, burst: rateLimit.burst },
    }),
    ...(Object.keys(keys).length > 0 && { keys }),
    ...(rules.length > 0 && { rules: rules.map(renderRule) }),
  };
}

function renderRule(rule: Rule): JsonObject {
  const { repositories, pull, push, immutableTags, quotaBytes, keep, signedBy } = rule;
  return {
    repositories,
    ...(pull !== null && { pull }),
    ...(push !== null && { push }),
    ...(rule.delete !== null && { delete: rule.delete }),
    ...(immutableTags.length > 0 && { immutable_tags: immutableTags }),
    ...(quotaBytes !== null && { quota: renderQuota(quotaBytes) }),
    ...(keep !== null && { keep: renderKeep(keep) }),
    ...(signedBy.length > 0 && { signed_by: signedBy }),
  };
}

function renderKeep({ last, days, tags, untaggedDays }: Keep): JsonObject {
  return {
    ...(last !== null && { last }),
    ...(days !== null && { days }),
    ...(tags.length > 0 && { tags }),
    ...(untaggedDays !== null && { untagged_days: untaggedDays }),
  };
}
