import fs from 'node:fs';

/**
 * Loaded into a daemon with `node --import`: its fsyncs of files and directories do nothing. Those of SQLite
 * and of other programs stay. For the negative control of the power test, which must then find losses.
 */
const probe = await fs.promises.open('/dev/null', 'r');
const handle = Object.getPrototypeOf(probe) as { sync: () => Promise<void>; datasync: () => Promise<void> };
await probe.close();
handle.sync = async () => {};
handle.datasync = async () => {};
