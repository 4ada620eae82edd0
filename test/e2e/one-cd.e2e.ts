// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * The hard way: one virtual CD drive, Secure Boot, no DHCP, HTTPS with a site's own CA, and a controller that
 * is killed while the server installs.
 */
import { expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringAt } from "../../src/base/json.ts";
import { linuxRecipe } from "./recipe.ts";
import { buildDebianRoot } from "./rootfs.ts";
import { CACHE, insertedMedia, startSite, story } from "./site.ts";
import { addServer, eventually, eventuallyInFile, expectProgram, freePort } from "./world.ts";

const SERIAL = "E2E-ONE-CD";
const IMAGE = "os-images/debian:13";
/** From a range that is reserved for documentation (RFC 5737), so that it is in nobody's way. */
const CONTROLLER = "198.51.100.1";
const SERVER = "198.51.100.10";

test("one CD, Secure Boot, a static address, a private CA and a killed controller (R7, R20, R29, R40)", async () => {
  const tarball = await buildDebianRoot(CACHE);
  const tls = await mkdtemp(join(tmpdir(), "prov-tls-"));
  const [certificate, key] = [join(tls, "cert.pem"), join(tls, "key.pem")];
  await expectProgram(
    `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=site -addext subjectAltName=IP:${CONTROLLER} -keyout ${key} -out ${certificate}`.split(
      " ",
    ),
  );
  const httpsPort = freePort();
  await using site = await startSite(
    [
      `--server=${SERIAL}`,
      "--personality=one-slot",
      "--secure-boot",
      "--disk-bus=nvme",
      `--bridge=${CONTROLLER}/24`,
    ],
    {
      mediaHost: CONTROLLER,
      publicUrls: [`https://${CONTROLLER}:${httpsPort}`],
      flags: [
        `--https-addr=${CONTROLLER}:${httpsPort}`,
        `--tls-cert-file=${certificate}`,
        `--tls-key-file=${key}`,
        `--tls-ca-file=${certificate}`,
      ],
    },
  );
  const { controller, lab } = site;
  const server = lab.server(SERIAL);
  const network = join(site.directory, "network.json");
  await Bun.write(
    network,
    JSON.stringify({
      interfaces: [
        { type: "ethernet", name: "prov0", mac: server.mac, addresses: [`${SERVER}/24`] },
      ],
    }),
  );
  await addServer(controller, server, [`--network=${network}`]);
  expect((await controller.prov("artifact", "push", tarball, IMAGE)).code).toBe(0);

  const recipe = join(site.directory, "recipe.json");
  const document = linuxRecipe({ hostname: "edge-07", image: IMAGE, disk: "/dev/nvme0n1" });
  await Bun.write(recipe, JSON.stringify(document));
  const created = await controller.provJson("job", "create", SERIAL, recipe);
  const id = stringAt(created, "job_id") ?? "";

  await eventually("the image is being unpacked", 600_000, async () => {
    const job = await controller.provJson("job", "show", id);
    const lines = story(job);
    expect(lines.filter((line) => line.includes("reports a failure"))).toEqual([]);
    return lines.some((line) => /^image-linux.service: unpack/.test(line)) ? true : undefined;
  });
  await controller.kill9();
  await controller.start();

  const watched = await controller.prov("job", "watch", id);
  expect(watched.stdout).toEndWith("complete: succeeded\n");
  expect(await insertedMedia(server)).toBe(0);
  await eventuallyInFile(server.console, /^edge-07 login:/m, 300_000);

  const console = await readFile(server.console, "utf8");
  expect(console.match(/Starting [^\n]*provision-dispatcher/g)).toHaveLength(1);
  await rm(tls, { recursive: true });
}, 1_200_000);
