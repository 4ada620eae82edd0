// SPDX-License-Identifier: AGPL-3.0-or-later

/**
 * Makes this process the only one that works on a file, as far as others ask, too. It is a socket in
 * Linux' abstract namespace (unix(7)): nothing of it is on the disk, and the kernel takes it back when the
 * process is gone, however it went.
 *
 * @returns undefined when somebody else has the file.
 */
export function claimFile({ dev, ino }: { dev: number; ino: number }): Disposable | undefined {
  try {
    const claim = Bun.listen({
      unix: `\0prov-file-${dev}-${ino}`,
      socket: {
        data() {},
        open(socket) {
          socket.end();
        },
      },
    });
    return { [Symbol.dispose]: () => claim.stop(true) };
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return undefined;
    throw error;
  }
}
