// SPDX-License-Identifier: AGPL-3.0-or-later
/** Where the mirror meets what else a registry does: quotas, pushes, abandoned uploads, many transfers. */
import { expect, test } from "bun:test";
import { MEDIA_TYPE } from "../../../src/registry/manifest.ts";
import { errorCode, noise, pushBlob, text } from "../served.ts";
import { openSite } from "./site.ts";

const SIZE = 3_000_000;
const bytes = noise(SIZE);

test("R51: content of a neighbour counts against the quota as well", async () => {
  await using site = await openSite();
  const rule = { repositories: "small/**", quota: "1MiB" };
  await site.mirror.registry.setPolicy({ rules: [rule] }, null);
  const digest = await pushBlob(site.central, "os/debian", bytes);
  await pushBlob(site.central, "small/debian", bytes);
  await (await site.mirror.ask("GET", `os/debian/blobs/${digest}`)).bytes();
  const answer = await site.mirror.ask("GET", `small/debian/blobs/${digest}`);
  expect(answer.status).toBe(507);
  expect(await errorCode(answer)).toBe("STORAGE_FULL");
});

test("a manifest whose blob breaks off upstream is not an internal error", async () => {
  await using site = await openSite();
  const layer = await pushBlob(site.central, "os/debian", bytes);
  const config = await pushBlob(site.mirror, "os/debian", text("{}"));
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.image,
    config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config, size: 2 },
    layers: [{ mediaType: "application/octet-stream", digest: layer, size: SIZE }],
  });
  const headers = { "content-type": MEDIA_TYPE.image };
  site.link.fault = ({ method, range }) => {
    if (method !== "GET") return undefined;
    return range === undefined ? { cutAfter: 1_000_000 } : { answer: { status: 503 } };
  };
  const put = await site.mirror.ask("PUT", "os/debian/manifests/ours", { body, headers });
  expect(put.status).toBe(503);
  expect(await errorCode(put)).toBe("UNAVAILABLE");
});
