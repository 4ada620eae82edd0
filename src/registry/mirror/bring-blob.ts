// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Digest } from "../digest.ts";
import { createGate } from "../uploads/gate.ts";
import { type IncomingBlob, receiveBlob } from "./incoming-blob.ts";
import { counted, type Mirroring, reserve, unavailable } from "./mirroring.ts";
import { isNotThere } from "./question.ts";

/** Up to here a client waits for the whole, and gets it with its length or an honest error. */
const WHOLE_BYTES = 256 * 1024;
/** Each costs a few MB of memory, and they share one line. */
const TRANSFERS_AT_ONCE = 16;

export interface Transfers {
  /**
   * Has a blob brought that is not here.
   * @returns the blob on its way; undefined when it is here now, or is not upstream either.
   * @throws {OciError} `UNAVAILABLE`; `STORAGE_FULL`
   */
  bring(repository: string, digest: Digest): Promise<IncomingBlob | undefined>;
  /** Bytes of a blob upstream, or undefined when it has no such blob. @throws {OciError} `UNAVAILABLE` */
  size(repository: string, digest: Digest): Promise<number | undefined>;
  /** Cuts all transfers short, keeping what has come. */
  close(): Promise<void>;
}

export function createTransfers(mirroring: Mirroring): Transfers {
  const { upstream, catalog, flights, fresh } = mirroring;
  const incoming = new Map<string, IncomingBlob>();
  const closing = new AbortController();
  const gate = createGate(TRANSFERS_AT_ONCE);
  /** Of their own: a config must not wait until a large layer has passed a slow line. */
  const smallGate = createGate(TRANSFERS_AT_ONCE);

  /** Asks upstream first, also for what another repository has: it says what this one may have. */
  async function size(repository: string, digest: Digest): Promise<number | undefined> {
    const running = incoming.get(`${repository} ${digest}`);
    if (running !== undefined) return running.size;
    try {
      return await upstream.blobSize(repository, digest);
    } catch (error) {
      if (isNotThere(error)) return undefined;
      fresh.failed(error);
      throw unavailable(error);
    }
  }

  async function begin(repository: string, digest: Digest): Promise<IncomingBlob | undefined> {
    const found = await size(repository, digest);
    if (found === undefined || (await linkFromNeighbour(mirroring, repository, digest, found))) {
      return undefined;
    }
    closing.signal.throwIfAborted();
    const key = `${repository} ${digest}`;
    const wanted = { repository, digest, size: found };
    const pass = found > WHOLE_BYTES ? gate : smallGate;
    const blob = receiveBlob(mirroring, wanted, closing.signal, pass);
    incoming.set(key, blob);
    const end = () => incoming.delete(key);
    blob.done.then(end, end);
    return blob;
  }

  async function bring(repository: string, digest: Digest): Promise<IncomingBlob | undefined> {
    const key = `${repository} ${digest}`;
    const blob =
      incoming.get(key) ?? (await flights.run(`blob ${key}`, () => begin(repository, digest)));
    if (blob === undefined || blob.size > WHOLE_BYTES) return blob;
    try {
      await blob.done;
    } catch (error) {
      throw unavailable(error);
    }
    return undefined;
  }

  return {
    size,
    async bring(repository, digest) {
      let blob: IncomingBlob | undefined;
      await counted(mirroring, async () => {
        if (catalog.blobSize(repository, digest) !== undefined) return "hit";
        blob = await bring(repository, digest);
        return "miss";
      });
      return blob;
    },
    async close() {
      closing.abort(new Error("the registry is closing"));
      await Promise.allSettled([...incoming.values()].map(({ done }) => done));
    },
  };
}

/**
 * Equal content of another repository is given to this one: nothing needs to come.
 * @throws {OciError} `STORAGE_FULL`
 */
async function linkFromNeighbour(
  mirroring: Mirroring,
  repository: string,
  digest: Digest,
  size: number,
): Promise<boolean> {
  const { storage, catalog, locks, layouts, now } = mirroring;
  const from = catalog.holders(digest).find((name) => catalog.blobSize(name, digest) === size);
  if (from === undefined) return false;
  return await locks.run(`${repository} ${digest}`, async () => {
    // What is damaged on the disk is not handed on: it comes from upstream then.
    if ((await storage.stat(from, digest)) !== size) return false;
    using _room = reserve(mirroring, repository, size);
    if (!(await storage.link(digest, from, repository))) return false;
    catalog.addBlob(repository, digest, size, now());
    layouts.schedule();
    return true;
  });
}
