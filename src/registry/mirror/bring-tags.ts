// SPDX-License-Identifier: AGPL-3.0-or-later
import { compareTags } from "../catalog/tags.ts";
import { type Mirroring, unavailable } from "./mirroring.ts";
import { isNotThere } from "./question.ts";

/** Upstream's tags of a few repositories, for clients that read page by page. */
const REMEMBERED = 50;

export interface TagLists {
  /**
   * Upstream's tags and those that were pushed here; what is here alone when upstream does not
   * answer.
   * @throws {OciError} `UNAVAILABLE` when nothing is here and upstream does not answer.
   */
  of(repository: string): Promise<readonly string[]>;
}

export function createTagLists(mirroring: Mirroring): TagLists {
  const { upstream, catalog, fresh, flights, log } = mirroring;
  const lists = new Map<string, readonly string[]>();

  async function refresh(repository: string, key: string): Promise<void> {
    try {
      lists.delete(repository);
      lists.set(repository, await upstream.tags(repository));
      for (const [oldest] of lists) if (lists.size > REMEMBERED) lists.delete(oldest);
    } catch (error) {
      if (!isNotThere(error)) {
        fresh.failed(error);
        if (!catalog.hasRepository(repository)) throw unavailable(error);
        log.warn({ repository, err: error }, "tags listed as they are here: upstream silent");
        return;
      }
      lists.set(repository, []);
    }
    fresh.answered(key);
  }

  return {
    async of(repository) {
      const key = `tags ${repository}`;
      const isKnown = lists.has(repository) && fresh.isFresh(key);
      const canWait = fresh.isResting() && catalog.hasRepository(repository);
      if (!isKnown && !canWait) await flights.run(key, () => refresh(repository, key));
      const theirs = lists.get(repository);
      const here = catalog.tagRows(repository).map(({ tag }) => tag);
      if (theirs === undefined) return here;
      const mirrored = new Set(catalog.mirroredTags(repository));
      const ours = here.filter((tag) => !mirrored.has(tag));
      return [...new Set([...theirs, ...ours])].sort(compareTags);
    },
  };
}
