// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../base/errors.ts";
import { at, isObject, type JsonObject, stringAt } from "../base/json.ts";
import { seconds } from "../base/units.ts";
import { type Answer, allowableValues, isOk, says } from "./answer.ts";
import {
  type Connection,
  type ConnectionDeps,
  isLost,
  type Resource,
  refusal,
} from "./connection.ts";
import type { Quirks } from "./quirks.ts";
import { retryAfter } from "./retry.ts";
import { pollUntil } from "./wait.ts";

export interface BootContext {
  readonly connection: Connection;
  readonly deps: ConnectionDeps;
  readonly quirks: Quirks;
  readonly systemPath: string;
}

const PATCH_TRIES = 6;
const PATCH_PAUSE = seconds(10);

/** How long a BMC may show the old override after it took a new one. */
const READ_BACK_TIMEOUT = seconds(30);
const READ_BACK_POLL = seconds(2);

/** What BMCs say while POST or another job has the settings locked. */
const BUSY =
  /DuringSystemPOST|InvalidOperationForSystemState|SYS518|ResourceInUse|ServiceTemporarily/;

/**
 * Makes the next boot, and that one only, come from the virtual CD in UEFI mode, and reads it back.
 *
 * @throws {ProvError} `BMC_UNSUPPORTED` when no boot target means a CD, `BMC_REFUSED` when the BMC does not
 * take it, `BMC_TIMED_OUT` when it took it and shows something else.
 */
export async function bootOnceFromCd(context: BootContext): Promise<void> {
  const holders = await readBoot(context);
  const boot = holders.target.body.Boot;
  const target = chooseTarget(holders, context.quirks);
  const mode = stringAt(boot, "BootSourceOverrideMode");
  const sendMode =
    mode !== undefined
      ? context.quirks.wholeBootRequest || mode !== "UEFI"
      : context.quirks.wholeBootRequest;
  await patchBoot(context, "Cannot set the one-time boot from CD", {
    BootSourceOverrideEnabled: "Once",
    BootSourceOverrideTarget: target,
    ...(sendMode && { BootSourceOverrideMode: "UEFI" }),
  });
  await readBack(context, "the one-time boot from CD", (shown) => {
    const enabled = stringAt(shown, "BootSourceOverrideEnabled");
    // The two names of a virtual CD are one to some firmware, which shows the one it prefers.
    const asSet = context.quirks.cdTargets.includes(
      stringAt(shown, "BootSourceOverrideTarget") ?? "",
    );
    return asSet && (enabled === "Once" || enabled === "Continuous");
  });
}

/**
 * Takes back what {@link bootOnceFromCd} set. Nothing is sent when no override is on.
 *
 * @throws {ProvError} `BMC_REFUSED`, `BMC_TIMED_OUT`
 */
export async function clearBootOverride(context: BootContext): Promise<void> {
  const holders = await readBoot(context);
  if ([holders.system, holders.target].every((holder) => isDisabled(holder.body.Boot))) return;
  await patchBoot(context, "Cannot clear the boot override", {
    BootSourceOverrideEnabled: "Disabled",
    ...(context.quirks.wholeBootRequest && { BootSourceOverrideTarget: "None" }),
  });
  await readBack(context, "no boot override", isDisabled);
}

function isDisabled(boot: unknown): boolean {
  const enabled = stringAt(boot, "BootSourceOverrideEnabled");
  return enabled === undefined || enabled === "Disabled";
}

interface BootHolders {
  readonly system: Resource;
  /** Where changes go: the system, or its settings resource. */
  readonly target: Resource;
}

/** A BMC that has boot properties in `@Redfish.Settings` takes changes there (DSP0266, "Settings resource"). */
async function readBoot({ connection, systemPath }: BootContext): Promise<BootHolders> {
  const system = await connection.get(systemPath);
  const link = stringAt(system.body, "@Redfish.Settings", "SettingsObject", "@odata.id");
  if (link === undefined) return { system, target: system };
  const settings = await connection.get(link);
  const boot = settings.body.Boot;
  const takesBoot =
    isObject(boot) && Object.keys(boot).some((key) => key.startsWith("BootSourceOverrideTarget"));
  return { system, target: takesBoot ? settings : system };
}

function chooseTarget(holders: BootHolders, quirks: Quirks): string {
  const allowed =
    allowableValues(holders.target.body.Boot, "BootSourceOverrideTarget") ??
    allowableValues(holders.system.body.Boot, "BootSourceOverrideTarget");
  if (allowed === undefined || allowed.length === 0) return "Cd";
  const target = quirks.cdTargets.find((t) => allowed.includes(t));
  if (target !== undefined) return target;
  throw new ProvError(
    `Cannot boot from CD: the BMC offers the boot targets ${allowed.join(", ")} only`,
    { code: "BMC_UNSUPPORTED" },
  );
}

/** PATCHes `Boot`. Safe to repeat: it says how things should be, not what should happen. */
async function patchBoot(context: BootContext, trying: string, boot: JsonObject): Promise<void> {
  const { connection, deps } = context;
  let failure: ProvError | undefined;
  for (let attempt = 0; attempt < PATCH_TRIES; attempt++) {
    // Read anew for its ETag, which changes with every reading of some BMCs' sensors.
    const { target } = await readBoot(context);
    const outcome = await tryPatch(connection, target, boot);
    if (outcome instanceof ProvError) failure = outcome;
    else if (isOk(outcome)) return;
    else {
      failure = refusal(trying, outcome);
      const passing = [409, 412, 429].includes(outcome.status) || outcome.status >= 500;
      if (!passing && !says(outcome, BUSY)) throw failure;
    }
    const wait = outcome instanceof ProvError ? null : outcome.headers.get("retry-after");
    await deps.sleep(retryAfter(wait, deps.now()) ?? PATCH_PAUSE, deps.signal);
  }
  throw failure ?? new ProvError(trying, { code: "BMC_REFUSED" });
}

async function tryPatch(
  connection: Connection,
  target: Resource,
  boot: JsonObject,
): Promise<Answer | ProvError> {
  try {
    return await connection.patch(target, { Boot: boot });
  } catch (error) {
    if (isLost(error)) return error;
    throw error;
  }
}

async function readBack(
  context: BootContext,
  wanted: string,
  isSet: (boot: unknown) => boolean,
): Promise<void> {
  const { value, reached } = await pollUntil(
    context.deps,
    { timeout: READ_BACK_TIMEOUT, every: READ_BACK_POLL },
    {
      read: () => readBoot(context),
      done: ({ system, target }) => isSet(system.body.Boot) || isSet(target.body.Boot),
    },
  );
  if (reached) return;
  const shown = ["Enabled", "Target", "Mode"].map(
    (name) => `${name}=${at(value.target.body, "Boot", `BootSourceOverride${name}`)}`,
  );
  throw new ProvError(`Cannot see ${wanted} on the BMC: it took it and shows ${shown.join(" ")}`, {
    code: "BMC_TIMED_OUT",
  });
}
