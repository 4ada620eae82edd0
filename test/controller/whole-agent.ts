// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * An agent that speaks to the controller over HTTP by what its task medium says, and changes no disk.
 */
import { realSleep } from "../../src/base/deps.ts";
import { millis } from "../../src/base/units.ts";
import { type Envelope, parseEnvelope } from "../../src/jobs/envelope.ts";
import { findExtent } from "../../src/media/iso-reader.ts";
import type { ArtifactSource } from "../../src/registry/client/pull.ts";
import type { ProgressEvent } from "../../src/webhook/report.ts";

const RETRY = millis(20);

export class WholeAgent {
  readonly #envelope: Envelope;
  readonly #signal: AbortSignal;

  /** @param signal aborts when the server is switched off. */
  constructor(taskIso: Uint8Array, signal: AbortSignal) {
    const extent = findExtent((at, length) => taskIso.subarray(at, at + length), "/task.json");
    const text = taskIso.subarray(extent.offset, extent.offset + extent.size);
    this.#envelope = parseEnvelope(new TextDecoder().decode(text));
    this.#signal = signal;
  }

  get artifact(): ArtifactSource {
    const { controller_urls: urls, artifact, token } = this.#envelope;
    return {
      registry: urls[0] ?? "",
      repository: artifact?.repository ?? "",
      reference: artifact?.digest ?? "",
      authorization: `Bearer ${token}`,
      ca: null,
    };
  }

  async checkIn(): Promise<void> {
    await this.progress({ type: "checked-in", agent_version: "0.1.0" });
  }

  async progress(...events: readonly ProgressEvent[]): Promise<void> {
    await this.#post(`jobs/${this.#envelope.job_id}/progress`, { events });
  }

  /** @param failedStep undefined: success. */
  async report(failedStep?: string, error?: string): Promise<void> {
    const { job_id, server_serial: serial } = this.#envelope;
    await this.#post(`status-webhook/${serial}`, {
      status: failedStep === undefined ? "success" : "failed",
      failed_step: failedStep,
      error,
      delivery_id: crypto.randomUUID(),
      job_id,
    });
  }

  /** Goes on until the controller takes it, or the server is switched off. */
  async #post(path: string, body: unknown): Promise<void> {
    const { controller_urls: urls, token } = this.#envelope;
    for (;;) {
      try {
        const response = await fetch(`${urls[0]}/api/v1/${path}`, {
          method: "POST",
          headers: { "x-webhook-secret": token },
          body: JSON.stringify(body),
          signal: this.#signal,
        });
        await response.body?.cancel();
        if (response.ok) return;
      } catch {
        this.#signal.throwIfAborted();
      }
      await realSleep(RETRY, this.#signal);
    }
  }
}
