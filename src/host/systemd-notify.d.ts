/** The npm package systemd-notify, which has no types of its own. */
declare module 'systemd-notify' {
  /**
   * Runs systemd-notify(1) for this process. Rejects with an Error where the program cannot be started, and
   * with what it printed, a string, where it fails.
   */
  export default function notify(message: { ready?: true; status?: string }): Promise<unknown>;
}
