// SPDX-License-Identifier: AGPL-3.0-or-later
import { expect, test } from "bun:test";
import { join } from "node:path";
import { findExtent, readVolumeId } from "../../src/media/iso-reader.ts";
import { buildTaskIso, TASK_IMAGE_BYTES, taskVolumeId } from "../../src/media/task-iso.ts";

const JOB = "0190b5c2-7d3e-7abc-8def-0123456789ab";
const CONTENT = {
  jobId: JOB,
  recipeText: '{"task_target":"install-linux.target"}\n',
  schemaText: '{"$schema":"https://json-schema.org/draft/2020-12/schema"}\n',
  envelopeText: '{"version":1}\n',
  payloads: { userData: "#cloud-config\nhostname: größe\n", unattendXml: null, ksCfg: null },
  epoch: 1_700_000_000,
};

test("taskVolumeId() keeps 27 digits, so that it is 32 characters long", () => {
  expect(taskVolumeId(JOB)).toBe("TASK_0190B5C27D3E7ABC8DEF0123456");
  expect(taskVolumeId(JOB)).toHaveLength(32);
});

test.each(["", "0190b5c2", "not-a-job-id-at-all-but-long-enough"])(
  "taskVolumeId() refuses %p",
  (jobId) => {
    expect(() => taskVolumeId(jobId)).toThrow(expect.objectContaining({ code: "MEDIA_INVALID" }));
  },
);

test("the task ISO has the files that the recipe has, and no others", () => {
  const image = buildTaskIso({
    ...CONTENT,
    payloads: { ...CONTENT.payloads, ksCfg: "vmaccepteula\n" },
  });
  const read = (offset: number, length: number) => image.subarray(offset, offset + length);
  const text = (path: string) => {
    const { offset, size } = findExtent(read, path);
    return new TextDecoder().decode(read(offset, size));
  };
  expect(readVolumeId(read)).toBe(taskVolumeId(JOB));
  expect(text("/recipe.json")).toBe(CONTENT.recipeText);
  expect(text("/recipe.schema.json")).toBe(CONTENT.schemaText);
  expect(text("/task.json")).toBe(CONTENT.envelopeText);
  expect(text("/user-data")).toBe(CONTENT.payloads.userData);
  expect(text("/ks.cfg")).toBe("vmaccepteula\n");
  expect(() => text("/unattend.xml")).toThrow("Cannot find /unattend.xml");
});

test.each([
  { cwd: "/", env: { TZ: "UTC", LC_ALL: "C" } },
  { cwd: "/tmp", env: { TZ: "Pacific/Kiritimati", LC_ALL: "tr_TR.UTF-8" } },
  { cwd: import.meta.dir, env: { TZ: "America/St_Johns", LC_ALL: "de_DE.UTF-8", LANG: "sv_SE" } },
])("R17 same inputs give the same SHA-256 in $cwd with $env", ({ cwd, env }) => {
  const script = `
    import { buildTaskIso } from ${JSON.stringify(join(import.meta.dir, "../../src/media/task-iso.ts"))};
    const image = buildTaskIso(${JSON.stringify(CONTENT)});
    process.stdout.write(Bun.SHA256.hash(image, "hex"));`;
  const { stdout } = Bun.spawnSync([process.execPath, "-e", script], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
  });
  expect(stdout.toString()).toBe(Bun.SHA256.hash(buildTaskIso(CONTENT), "hex"));
});

test("a change of the date or of one character is another image", () => {
  const hash = (content: typeof CONTENT) => Bun.SHA256.hash(buildTaskIso(content), "hex");
  const later = { ...CONTENT, epoch: CONTENT.epoch + 1 };
  const userData = CONTENT.payloads.userData.replace("g", "G");
  const other = { ...CONTENT, payloads: { ...CONTENT.payloads, userData } };
  expect(new Set([CONTENT, later, other].map(hash)).size).toBe(3);
});

test("an image longer than its reserved room is refused with a hint", () => {
  const room = (userData: string) =>
    buildTaskIso({ ...CONTENT, payloads: { ...CONTENT.payloads, userData } });
  const overhead = room("").length;
  expect(room("x".repeat(TASK_IMAGE_BYTES - overhead)).length).toBe(TASK_IMAGE_BYTES);
  expect(() => room("x".repeat(TASK_IMAGE_BYTES - overhead + 1))).toThrow(
    expect.objectContaining({ code: "MEDIA_INVALID", hint: expect.stringContaining("user_data") }),
  );
});
