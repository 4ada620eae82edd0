// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import type { Delivery } from "../../jobs/job.ts";
import { type Capabilities, isOptical, type MediaSlot } from "../../redfish/capabilities.ts";
import type { MediaKind, MediaToken } from "../../store/store.ts";
import { MEDIA_NAMES } from "../media/library.ts";
import { longestJob } from "./deadlines.ts";
import type { JobContext } from "./phase.ts";

const KINDS: Readonly<Record<Delivery, readonly MediaKind[]>> = {
  dual: ["boot", "task"],
  usb: ["boot", "task"],
  combined: ["combined"],
};

/** The job's tokens for a delivery, in the order of insertion: those it has, or new ones. */
export async function issueMedia(
  delivery: Delivery,
  { lease, deadlines, deps }: JobContext,
): Promise<readonly MediaToken[]> {
  const now = deps.now();
  const known = await deps.store.media.forJob(lease.jobId);
  const tokens: MediaToken[] = [];
  for (const kind of KINDS[delivery]) {
    const usable = known.find(
      (token) => token.kind === kind && token.revokedAt === null && token.expiresAt > now,
    );
    const expiresAt = now + longestJob(deadlines);
    tokens.push(usable ?? (await deps.store.media.issue(lease.jobId, kind, expiresAt, now)));
  }
  return tokens;
}

/** The slots for a delivery's media, in the same order. @throws {ProvError} `BMC_UNSUPPORTED` */
export function slotsFor(delivery: Delivery, { slots }: Capabilities): readonly MediaSlot[] {
  const optical = slots.filter(isOptical);
  const [first, second] = optical;
  const other = delivery === "usb" ? slots.find((slot) => !isOptical(slot)) : second;
  const chosen = delivery === "combined" ? [first] : [first, other];
  const found = chosen.filter((slot) => slot !== undefined);
  if (found.length === chosen.length) return found;
  throw new ProvError(
    `Cannot deliver the task by "${delivery}": the BMC lacks the virtual drives`,
    {
      code: "BMC_UNSUPPORTED",
      hint: 'Set the server\'s delivery to "combined", or leave it out.',
    },
  );
}

/**
 * The URL that a slot is given. Plain HTTP comes first where a slot takes it, because few BMCs trust the
 * certificate of a site's own CA, and the token in the path is the secret.
 *
 * @param bases the controller's base URLs for media, most preferred first.
 * @throws {ProvError} `BMC_UNSUPPORTED`
 */
export function mediaUrl(token: MediaToken, slot: MediaSlot, bases: readonly string[]): string {
  const takes = (scheme: "http" | "https") =>
    slot.protocols === null || slot.protocols.includes(scheme.toUpperCase());
  const base =
    bases.find((url) => url.startsWith("http:") && takes("http")) ??
    bases.find((url) => url.startsWith("https:") && takes("https"));
  if (base !== undefined) return `${base}/m/${token.token}/${MEDIA_NAMES[token.kind]}`;
  throw new ProvError(
    `Cannot give ${slot.id} a URL: it takes ${slot.protocols?.join(", ")}, and the controller is at ${bases.join(", ")}`,
    { code: "BMC_UNSUPPORTED", hint: "Add a public URL with a scheme that the BMC takes." },
  );
}
