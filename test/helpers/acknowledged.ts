// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * A client of one repository that remembers what the registry has acknowledged, and nothing else. What
 * it had asked for when the registry died is unknown: it looks what became of it, and takes that for true.
 */
import { expect } from "bun:test";
import { type Digest, digestOf } from "../../src/registry/digest.ts";
import { MEDIA_TYPE } from "../../src/registry/manifest.ts";
import { noise, text } from "../registry/served.ts";
import type { Random } from "./random.ts";

type Ask = (method: string, path: string, init?: RequestInit) => Promise<Response>;

interface Content {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: Digest;
}

interface Image {
  readonly json: string;
  readonly digest: Digest;
  readonly blobs: readonly Content[];
}

const content = (bytes: Uint8Array<ArrayBuffer>): Content => ({ bytes, digest: digestOf(bytes) });

/** Few, so that repositories share them, and they come and go often. */
const CONTENTS: readonly Content[] = [2, 300, 5_000, 70_000, 300_000, 1_000_000].map((size, i) =>
  content(noise(size, i + 1)),
);
const CONFIG = content(text("{}"));

const IMAGES: readonly Image[] = CONTENTS.flatMap((first, i) =>
  [1, 2].map((step) => imageOf([CONFIG, first, CONTENTS[(i + step) % CONTENTS.length] ?? first])),
);

function imageOf(blobs: readonly Content[]): Image {
  const [config, ...layers] = blobs.map(({ bytes, digest }) => ({
    mediaType: "application/octet-stream",
    digest,
    size: bytes.byteLength,
  }));
  const json = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.image, config, layers });
  return { json, digest: digestOf(json), blobs };
}

const TAGS = ["v1", "v2", "latest"];

/** Of everything that a registry may be asked, by what it says afterwards. */
export interface Counts {
  acknowledged: number;
  unknown: number;
}

export class AcknowledgedRepository {
  readonly name: string;
  /** Manifests that are there; `undefined` is not known. */
  readonly #manifests = new Map<Digest, boolean | undefined>();
  readonly #tags = new Map<string, Digest | null | undefined>();
  /** True: acknowledged, and named by a manifest that is there. False: its deletion was acknowledged. */
  readonly #blobs = new Map<Digest, boolean | undefined>();
  readonly #counts: Counts;

  constructor(name: string, counts: Counts) {
    this.name = name;
    this.#counts = counts;
  }

  /** One thing after the other, until the registry does not answer any more. */
  async useUntilKilled(ask: Ask, random: Random, others: readonly string[]): Promise<void> {
    const operations = [
      () => this.#pushImage(ask, random),
      () => this.#pushImage(ask, random),
      () => this.#pushImage(ask, random),
      () => this.#deleteTag(ask, random.pick(TAGS)),
      () => this.#deleteManifest(ask, random.pick(IMAGES)),
      () => this.#deleteBlob(ask, random.pick(CONTENTS)),
      () => this.#mount(ask, random.pick(CONTENTS), random.pick(others)),
      () => this.#pushBlob(ask, random.pick(CONTENTS), random),
    ];
    try {
      for (;;) {
        await random.pick(operations)();
        this.#counts.acknowledged++;
      }
    } catch (error) {
      // A request that broke off; what is expected of answers fails otherwise.
      if (!(error instanceof Error) || !/connect|socket|fetch/i.test(error.message)) throw error;
      this.#counts.unknown++;
    }
  }

  /** Looks at everything that was acknowledged, and finds out what is not known. */
  async check(ask: Ask): Promise<void> {
    for (const image of IMAGES) await this.#checkManifest(ask, image);
    for (const tag of TAGS) await this.#checkTag(ask, tag);
    for (const each of [...CONTENTS, CONFIG]) await this.#checkBlob(ask, each);
  }

  /** Every byte of what is there. */
  async checkBytes(ask: Ask): Promise<void> {
    for (const { digest } of [...CONTENTS, CONFIG]) {
      if (this.#blobs.get(digest) !== true) continue;
      const bytes = await (await ask("GET", `${this.name}/blobs/${digest}`)).bytes();
      expect(digestOf(bytes)).toBe(digest);
    }
  }

  /** Manifests, and the blobs that they keep, when nothing else is left. */
  kept(): Digest[] {
    const manifests = IMAGES.filter(({ digest }) => this.#manifests.get(digest) === true);
    const blobs = manifests.flatMap((image) => image.blobs.map(({ digest }) => digest));
    const there = blobs.filter((digest) => this.#blobs.get(digest) === true);
    return [...new Set([...manifests.map(({ digest }) => digest), ...there])];
  }

  #isNamed(digest: Digest): boolean {
    return IMAGES.some(
      (image) =>
        this.#manifests.get(image.digest) === true &&
        image.blobs.some((blob) => blob.digest === digest),
    );
  }

  async #checkManifest(ask: Ask, { digest, json }: Image): Promise<void> {
    const response = await ask("GET", `${this.name}/manifests/${digest}`);
    const expected = this.#manifests.get(digest);
    if (response.ok) expect(await response.text()).toBe(json);
    else expect(response.status).toBe(404);
    if (expected !== undefined)
      expect([this.name, digest, response.ok]).toEqual([this.name, digest, expected]);
    this.#manifests.set(digest, response.ok);
  }

  async #checkTag(ask: Ask, tag: string): Promise<void> {
    const response = await ask("HEAD", `${this.name}/manifests/${tag}`);
    const found = IMAGES.find(
      ({ digest }) => digest === response.headers.get("docker-content-digest"),
    );
    const expected = this.#tags.get(tag);
    const digest = found?.digest ?? null;
    if (expected !== undefined)
      expect([this.name, tag, digest]).toEqual([this.name, tag, expected]);
    this.#tags.set(tag, digest);
  }

  async #checkBlob(ask: Ask, { digest, bytes }: Content): Promise<void> {
    const response = await ask("HEAD", `${this.name}/blobs/${digest}`);
    expect([200, 404]).toContain(response.status);
    if (response.ok) expect(response.headers.get("content-length")).toBe(`${bytes.byteLength}`);
    const expected = this.#blobs.get(digest);
    if (expected !== undefined)
      expect([this.name, digest, response.ok]).toEqual([this.name, digest, expected]);
    // What no manifest names may be collected at any time.
    this.#blobs.set(digest, response.ok && !this.#isNamed(digest) ? undefined : response.ok);
  }

  /** The manifest first or last: what it names is kept from when it is there. */
  async #pushImage(ask: Ask, random: Random): Promise<void> {
    const image = random.pick(IMAGES);
    if (random.below(2) === 0) {
      for (const blob of image.blobs) await this.#pushBlob(ask, blob, random);
    }
    const tag = random.below(3) === 0 ? undefined : random.pick(TAGS);
    this.#manifests.set(image.digest, undefined);
    if (tag !== undefined) this.#tags.set(tag, undefined);
    const { status } = await ask("PUT", `${this.name}/manifests/${tag ?? image.digest}`, {
      body: image.json,
      headers: { "content-type": MEDIA_TYPE.image },
    });
    // A blob that was collected while the manifest came: it must be pushed again, and nothing was changed.
    if (status === 404) return;
    expect(status).toBe(201);
    this.#manifests.set(image.digest, true);
    if (tag !== undefined) this.#tags.set(tag, image.digest);
    for (const blob of image.blobs) {
      const found = await ask("HEAD", `${this.name}/blobs/${blob.digest}`);
      if (!found.ok) await this.#pushBlob(ask, blob, random);
      this.#blobs.set(blob.digest, true);
    }
  }

  async #pushBlob(ask: Ask, { digest, bytes }: Content, random: Random): Promise<void> {
    this.#unsettle(digest);
    const uploads = `${this.name}/blobs/uploads/`;
    if (random.below(2) === 0) {
      const whole = await ask("POST", `${uploads}?digest=${digest}`, { body: bytes });
      expect(whole.status).toBe(201);
    } else {
      const begun = await ask("POST", uploads);
      const location = (begun.headers.get("location") ?? "").replace("/v2/", "");
      const half = bytes.byteLength >> 1;
      const part = await ask("PATCH", location, { body: bytes.subarray(0, half) });
      expect(part.status).toBe(202);
      const end = await ask("PUT", `${location}?digest=${digest}`, { body: bytes.subarray(half) });
      expect(end.status).toBe(201);
    }
    this.#settle(digest);
  }

  async #mount(ask: Ask, { digest }: Content, from: string): Promise<void> {
    this.#unsettle(digest);
    const query = `?mount=${digest}&from=${from}`;
    const { status } = await ask("POST", `${this.name}/blobs/uploads/${query}`);
    expect([201, 202]).toContain(status);
    if (status === 201) this.#settle(digest);
  }

  async #deleteTag(ask: Ask, tag: string): Promise<void> {
    this.#tags.set(tag, undefined);
    const { status } = await ask("DELETE", `${this.name}/manifests/${tag}`);
    expect([202, 404]).toContain(status);
    this.#tags.set(tag, null);
  }

  async #deleteManifest(ask: Ask, { digest, blobs }: Image): Promise<void> {
    this.#manifests.set(digest, undefined);
    for (const [tag, its] of this.#tags) if (its === digest) this.#tags.set(tag, undefined);
    for (const blob of blobs)
      if (this.#blobs.get(blob.digest)) this.#blobs.set(blob.digest, undefined);
    const { status } = await ask("DELETE", `${this.name}/manifests/${digest}`);
    expect([202, 404]).toContain(status);
    this.#manifests.set(digest, false);
    await this.check(ask);
  }

  async #deleteBlob(ask: Ask, { digest }: Content): Promise<void> {
    this.#blobs.set(digest, undefined);
    const { status } = await ask("DELETE", `${this.name}/blobs/${digest}`);
    expect([202, 404]).toContain(status);
    this.#blobs.set(digest, false);
  }

  /** Before a push: what is there and kept stays so, whatever becomes of the push. */
  #unsettle(digest: Digest): void {
    if (this.#blobs.get(digest) !== true) this.#blobs.set(digest, undefined);
  }

  /** After a push was acknowledged: it stays when a manifest names it. */
  #settle(digest: Digest): void {
    this.#blobs.set(digest, this.#isNamed(digest) ? true : undefined);
  }
}
