// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Fetch } from "../../base/deps.ts";
import { seconds } from "../../base/units.ts";
import type { Medium } from "../machine/machine.ts";
import { Refusal } from "./refusal.ts";

const MAX_URL = 255;

/**
 * The rules for a path are the union of what picky BMCs enforce: few of them say in their answer
 * what they did not like.
 * @throws {Refusal} when the URL breaks one of them.
 */
export function checkImageUrl(image: string, protocols: readonly string[]): URL {
  const url = URL.canParse(image) ? new URL(image) : undefined;
  const isFine =
    url !== undefined &&
    protocols.includes(url.protocol.slice(0, -1)) &&
    image.length <= MAX_URL &&
    url.search === "" &&
    url.username === "" &&
    /^[^:=&?%]+\.(iso|img)$/.test(url.pathname);
  if (!isFine) {
    const message = `The value '${image}' for the parameter Image is of a different format than the parameter can accept.`;
    throw new Refusal(400, "Base.1.12.ActionParameterValueFormatError", message, [image, "Image"]);
  }
  return url;
}

/** Asks for the size by HEAD, not following redirects, before the slot is filled. @throws {Refusal} */
export async function findImage(url: URL, fetch: Fetch): Promise<Medium> {
  let response: Response;
  try {
    response = await fetch(url.href, {
      method: "HEAD",
      redirect: "manual",
      signal: AbortSignal.timeout(seconds(20)),
      tls: { rejectUnauthorized: false },
    });
  } catch (error) {
    throw unreachable(url, error instanceof Error ? error.message : String(error));
  }
  const length = response.headers.get("content-length");
  const size = Number(length);
  if (response.status !== 200) throw unreachable(url, `HTTP ${response.status}`);
  if (length === null || !(size > 0)) throw unreachable(url, "no Content-Length");
  return { url: url.href, size };
}

function unreachable(url: URL, why: string): Refusal {
  const message = `The resource at '${url.href}' could not be accessed: ${why}.`;
  return new Refusal(400, "Base.1.12.CouldNotEstablishConnection", message, [url.href]);
}
