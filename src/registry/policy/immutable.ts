// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Catalog } from "../catalog/catalog.ts";
import type { Digest } from "../digest.ts";
import { OciError } from "../oci-error.ts";
import { fits, type Policy, ruleFor } from "./policy.ts";

/** Whether a tag of the repository is set once, and then neither moved nor deleted. */
export function isImmutable(policy: Policy, repository: string, tag: string): boolean {
  return ruleFor(policy, repository).immutableTags.some((pattern) => fits(pattern, tag));
}

/**
 * What an immutable tag names stays whole: its manifest, and all that this is made of.
 * @throws {OciError} `DENIED`
 */
export function requireRemovable(
  parts: { readonly policy: () => Policy; readonly catalog: Pick<Catalog, "tagged" | "tagsAbove"> },
  repository: string,
  digest: Digest,
): void {
  if (ruleFor(parts.policy(), repository).immutableTags.length === 0) return;
  requireMutable(parts, repository, parts.catalog.tagsAbove(repository, digest), null);
}

/**
 * The standard has no code for it. `DENIED` is the one that docker and podman do not try again, and of which
 * they show the message.
 *
 * @param tags that are to be moved or deleted.
 * @param next what they are to name; null: they are to be deleted.
 * @throws {OciError} `DENIED` when one of them is immutable and names something else.
 */
export function requireMutable(
  { policy, catalog }: { readonly policy: () => Policy; readonly catalog: Pick<Catalog, "tagged"> },
  repository: string,
  tags: readonly string[],
  next: Digest | null,
): void {
  for (const tag of tags) {
    const digest = catalog.tagged(repository, tag);
    if (digest === undefined || digest === next) continue;
    if (!isImmutable(policy(), repository, tag)) continue;
    throw new OciError(`the tag ${tag} is immutable: it stays at ${digest}`, {
      code: "DENIED",
      detail: { tag, digest },
    });
  }
}
