// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Reads everything that is stored, at a set rate, and compares it with its digest. What is damaged is
 * served no longer: the registry says that it has no such content, and a push heals it.
 */
import type { Log, Sleep } from "../../base/deps.ts";
import { seconds } from "../../base/units.ts";
import type { Digest } from "../digest.ts";
import type { RegistryObserver } from "../observer.ts";
import { createPace } from "../pace.ts";
import { setAside, writeNote } from "../storage/quarantine.ts";
import { checkContent, type Findings } from "./check-content.ts";
import type { HousekeepingDeps } from "./collect.ts";
import { lockKey, runLocked } from "./locked.ts";
import {
  type Damage,
  type DamagedPlace,
  NO_SCRUB,
  readScrubState,
  type ScrubState,
  writeScrubState,
} from "./scrub-state.ts";
import { createThrottle, type Throttle } from "./throttle.ts";
import { measureUsage } from "./usage.ts";

export interface ScrubDeps extends HousekeepingDeps {
  readonly sleep: Sleep;
  readonly observer: () => RegistryObserver;
}

export interface ScrubProgress extends ScrubState {
  readonly isRunning: boolean;
}

export interface Scrub {
  /** Begins one, or goes on with the one that was cut short; does nothing while one runs. */
  start(bytesPerSecond: number): Promise<ScrubProgress>;
  progress(): Promise<ScrubProgress>;
  /** Resolves when none runs. */
  settled(): Promise<void>;
}

const PAGE = 64;
const SAVE_EVERY = seconds(10);
const DAMAGES_MAX = 1000;

export function createScrub(deps: ScrubDeps): Scrub {
  let state: ScrubState | undefined;
  let running: Promise<void> | undefined;
  let savedAt = 0;

  const known = async (): Promise<ScrubState> => (state ??= await readScrubState(deps.root));
  const note = async (next: ScrubState, isUrgent: boolean): Promise<void> => {
    state = next;
    if (!isUrgent && deps.now() - savedAt < SAVE_EVERY) return;
    savedAt = deps.now();
    await writeScrubState(deps.root, next);
  };
  const progress = async (): Promise<ScrubProgress> => ({
    ...(await known()),
    isRunning: running !== undefined,
  });

  return {
    progress,
    async start(bytesPerSecond) {
      const last = await known();
      if (running === undefined) {
        const isCutShort = last.startedAt !== null && last.finishedAt === null;
        const first = isCutShort ? last : { ...NO_SCRUB, startedAt: deps.now() };
        running = scrub(deps, first, bytesPerSecond, note)
          .catch((error) => logEnd(error, deps.log))
          .finally(() => {
            running = undefined;
          });
      }
      return await progress();
    },
    async settled() {
      await running;
    },
  };
}

function logEnd(error: unknown, log: Log): void {
  const isClosing = error instanceof DOMException && error.name === "AbortError";
  if (!isClosing) log.error({ err: error }, "registry scrub cut short");
}

type Note = (state: ScrubState, isUrgent: boolean) => Promise<void>;

async function scrub(
  deps: ScrubDeps,
  first: ScrubState,
  bytesPerSecond: number,
  note: Note,
): Promise<void> {
  let state = first;
  const throttle = createThrottle(bytesPerSecond, { ...deps, signal: deps.closing });
  const read: Throttle = async (bytes) => {
    state = { ...state, bytes: state.bytes + bytes };
    deps.observer().scrubbed(bytes);
    await note(state, false);
    await throttle(bytes);
  };
  if (state.position === "") {
    const { bytes } = await measureUsage(deps.catalog, createPace(deps.closing));
    state = { ...state, totalBytes: bytes };
  }
  await note(state, true);
  try {
    for (let page: Digest[] = []; ; ) {
      page = deps.catalog.contentPage(state.position, PAGE);
      for (const digest of page) {
        await throttle(0);
        const damage = await scrubContent(deps, digest, read);
        const damages = damage === undefined ? state.damages : [...state.damages, damage];
        const contents = state.contents + 1;
        state = { ...state, position: digest, contents, damages: damages.slice(0, DAMAGES_MAX) };
        await note(state, damage !== undefined);
      }
      if (page.length < PAGE) break;
    }
    state = { ...state, finishedAt: deps.now() };
  } finally {
    await note(state, true);
  }
  const { contents, bytes, damages } = state;
  deps.log.info({ contents, bytes, damages: damages.length }, "registry scrubbed");
}

async function scrubContent(
  deps: ScrubDeps,
  digest: Digest,
  throttle: Throttle,
): Promise<Damage | undefined> {
  const repositories = deps.catalog.placesOf(digest).map(({ repository }) => repository);
  const found = await checkContent(deps.root, digest, repositories, throttle);
  if (found.damaged.length === 0 && found.missingIn.length === 0) return undefined;
  // Nobody pushes or deletes it from here on, and what was found is looked at once more.
  const keys = repositories.map((repository) => lockKey(repository, digest));
  return await runLocked(deps.locks, keys, async () => {
    const listed = repositories.filter((name) => deps.catalog.isListed(name, digest));
    const again = await checkContent(deps.root, digest, listed, throttle);
    if (again.damaged.length === 0 && again.missingIn.length === 0) return undefined;
    const damage = await handle(deps, digest, again);
    deps.log.error({ ...damage }, "registry content is damaged");
    deps.observer().damaged(damage);
    await auditDamage(damage, deps.audit);
    return damage;
  });
}

async function auditDamage(damage: Damage, audit: ScrubDeps["audit"]): Promise<void> {
  const { digest, outcome: reason, places } = damage;
  for (const { repository } of places) {
    await audit.append({
      ...{ identity: "housekeeping", address: null, outcome: "done", action: "quarantine" },
      ...{ repository, digest, reason },
    });
  }
}

async function handle(deps: ScrubDeps, digest: Digest, found: Findings): Promise<Damage> {
  const { root, catalog, storage, layouts, now } = deps;
  const foundAt = now();
  const lacking = [...found.damagedIn, ...found.missingIn];
  const places = lacking.map((repository) => placeOf(deps, repository, digest));
  const file = found.damaged.length === 0 ? null : await setAside(root, digest, found.damaged);
  if (found.good !== undefined) {
    for (const repository of lacking) {
      await storage.restore(found.good, repository, digest);
    }
    return await noted({ digest, foundAt, outcome: "repaired", places, file });
  }
  for (const repository of lacking) catalog.removeDamaged(repository, digest, foundAt);
  layouts.schedule();
  const outcome = found.damaged.length > 0 ? "quarantined" : "missing";
  return await noted({ digest, foundAt, outcome, places, file });

  async function noted(damage: Damage): Promise<Damage> {
    if (damage.file !== null) await writeNote(root, digest, damage);
    return damage;
  }
}

function placeOf({ catalog }: ScrubDeps, repository: string, digest: Digest): DamagedPlace {
  const isManifest = catalog.manifest(repository, digest) !== undefined;
  const manifests = [...(isManifest ? [digest] : []), ...catalog.namers(repository, digest)];
  const tags = catalog.tagsAbove(repository, digest);
  return { repository, manifests, tags };
}
