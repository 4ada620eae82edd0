// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { formatBytes } from "../../base/units.ts";
import { type Envelope, type EnvelopeArtifact, parseEnvelope } from "../../jobs/envelope.ts";
import type { Delivery } from "../../jobs/job.ts";
import { combinedIso } from "../../media/overlay.ts";
import { taskVolumeId } from "../../media/task-iso.ts";
import type { Capabilities } from "../../redfish/capabilities.ts";
import { resolveArtifact } from "../artifacts.ts";
import { taskIso } from "../media/task-iso.ts";
import { requireSigned } from "../signatures.ts";
import { issueMedia } from "./media-urls.ts";
import { enter, inStep, type JobContext, type PhaseContext, type Step } from "./phase.ts";

/**
 * Gets everything ready without touching the server: pins the artifact, sees that the BMC can do what is
 * needed, and writes the envelope, from which the task ISO follows.
 */
export async function runMedia(context: PhaseContext): Promise<Step> {
  const events: string[] = [];
  const { payload, artifact, signedBy } = await pinArtifact(context);
  if (artifact !== null) events.push(describeArtifact(artifact, signedBy));

  const capabilities = await inStep("redfish.discover", () =>
    context.bmc.use(context.signal, (_bmc, found) => Promise.resolve(found)),
  );
  const delivery = context.server.delivery ?? requireDelivery(capabilities);
  events.push(describeBmc(capabilities, delivery));

  const size = await inStep("media.build", () => buildMedia(payload, artifact, delivery, context));
  events.push(`The task medium ${taskVolumeId(context.job.id)} is ready: ${formatBytes(size)}`);
  const step = enter("power-off", ...events);
  return { ...step, change: { ...step.change, bmcTouched: true } };
}

/**
 * The artifact as the envelope has it, if an earlier attempt got so far: it stays the same for the job's life,
 * whatever its tag names by now. Else it is looked up, and must be signed as the policy demands.
 */
async function pinArtifact(context: PhaseContext) {
  const { deps, recipe, config, job } = context;
  const payload = await deps.store.jobs.payload(job.id);
  if (payload === undefined) throw new TypeError("An active job has a payload");
  const { ociUrl } = recipe;
  if (payload.envelopeText !== null) {
    const { artifact } = parseEnvelope(payload.envelopeText);
    return { payload, artifact, signedBy: [] };
  }
  if (ociUrl === null) return { payload, artifact: null, signedBy: [] };
  const artifact = await inStep("artifact.resolve", () =>
    resolveArtifact(ociUrl, config.publicUrls, deps.registry),
  );
  const signedBy = await inStep("artifact.verify", () => requireSigned(artifact, deps.registry));
  return { payload, artifact, signedBy };
}

export function requireDelivery({ delivery, model }: Capabilities): Delivery {
  if (delivery !== null) return delivery;
  throw new ProvError(`Cannot use the BMC of this ${model}: it has no usable virtual CD`, {
    code: "BMC_UNSUPPORTED",
  });
}

/** @returns the task ISO's size. */
async function buildMedia(
  payload: { readonly token: string; readonly envelopeText: string | null },
  artifact: EnvelopeArtifact | null,
  delivery: Delivery,
  context: PhaseContext,
): Promise<number> {
  const { job, recipeText, config, deps, lease } = context;
  const envelopeText =
    payload.envelopeText ?? JSON.stringify(envelopeOf(payload.token, artifact, context), null, 2);
  const iso = taskIso(job, recipeText, envelopeText);
  if (iso === undefined) throw new TypeError("The recipe was valid when the job was created");
  // Before the first promise to a BMC: is the maintenance ISO there, and does the task fit into it?
  if (config.maintenanceIso !== null) combinedIso(config.maintenanceIso, iso.bytes);
  if (payload.envelopeText === null) await deps.store.jobs.setEnvelope(lease, envelopeText);
  await issueMedia(delivery, context);
  return iso.bytes.length;
}

function envelopeOf(
  token: string,
  artifact: EnvelopeArtifact | null,
  { lease, server, recipe, config }: JobContext,
): Envelope {
  return {
    version: 1,
    job_id: lease.jobId,
    server_serial: server.serial,
    task_target: recipe.taskTarget,
    controller_urls: config.publicUrls,
    ca_certificate: config.https?.ca ?? null,
    token,
    artifact,
    network: server.network,
  };
}

function describeArtifact(
  { registry, repository, reference, digest }: EnvelopeArtifact,
  signedBy: readonly string[],
): string {
  if (digest === null) return `The artifact is ${registry}/${repository}:${reference}`;
  const name = reference === digest ? repository : `${repository}:${reference}`;
  const signed = signedBy.length > 0 ? `, signed by ${signedBy.join(", ")}` : "";
  return `The artifact ${name} is ${digest}${signed}`;
}

const DELIVERY: Readonly<Record<Delivery, string>> = {
  dual: "boot medium and task go into two virtual CDs",
  usb: "the boot medium goes into a virtual CD, the task into a virtual USB disk",
  combined: "the task goes into the boot medium, in one virtual CD",
};

function describeBmc(found: Capabilities, delivery: Delivery): string {
  const name = `${found.vendor} ${found.model}`.trim();
  return `The BMC (${name}, firmware ${found.bmcFirmware}) answers: ${DELIVERY[delivery]}`;
}
