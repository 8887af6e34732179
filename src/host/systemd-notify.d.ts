/** The npm package systemd-notify, which has no types. */
declare module 'systemd-notify' {
  /**
   * Runs systemd-notify(1) for this process. Rejects with an Error if the program cannot be started, and with
   * its output, a string, if it fails.
   */
  export default function notify(message: { ready?: true; status?: string }): Promise<unknown>;
}
