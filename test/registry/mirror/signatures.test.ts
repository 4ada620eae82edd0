// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { signatureTag } from "../../../src/registry/signatures/find.ts";
import { pushImage } from "../served.ts";
import { edKey } from "../signatures/keys.ts";
import { attach, COSIGN, REPOSITORY, simple } from "../signatures/signed.ts";
import { openSite, TTL } from "./site.ts";

const release = edKey();
const other = edKey();
const KEYS = { release: release.publicPem };

test.each(["under its tag", "as a referrer"])(
  "a signature that upstream has %s counts at the mirror, and still does when the line is down",
  async (where) => {
    await using site = await openSite();
    const { digest } = await pushImage(site.central, REPOSITORY, "13");
    const tag = signatureTag(digest) ?? "";
    const place = where === "under its tag" ? { tag } : { subject: digest, artifactType: COSIGN };
    await attach(site.central, [simple(digest, release)], place);
    const verify = () => site.mirror.registry.verify(REPOSITORY, digest, KEYS);
    await site.mirror.registry.resolve(REPOSITORY, "13");
    expect((await verify()).signedBy).toEqual(["release"]);
    site.link.up(false);
    site.pass(TTL);
    expect((await verify()).signedBy).toEqual(["release"]);
  },
);

test("a signature that may be upstream, out of reach, is not said to be missing", async () => {
  await using site = await openSite();
  const { digest } = await pushImage(site.central, REPOSITORY, "13");
  await attach(site.central, [simple(digest, other)], { tag: signatureTag(digest) ?? "" });
  const verify = () => site.mirror.registry.verify(REPOSITORY, digest, KEYS);
  await site.mirror.registry.resolve(REPOSITORY, "13");
  expect((await verify()).signedBy).toEqual([]);
  site.link.up(false);
  site.pass(TTL);
  await expect(verify()).rejects.toMatchObject({ code: "REGISTRY_UNREACHABLE" });
});
