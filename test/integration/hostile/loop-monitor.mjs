import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

// In a daemon that a test looks at (NODE_OPTIONS=--import): the longest turn of its event loop so far, in
// milliseconds, in the file of $H2K_LOOP_FILE twice a second. `delay` is by the clock, so a busy host counts
// too; `turn` is what of it the main thread itself has computed.
if (isMainThread && process.env.H2K_LOOP_FILE !== undefined) {
  const histogram = monitorEventLoopDelay({ resolution: 10 });
  histogram.enable();
  const cpu = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let [turn, at, used] = [0, performance.now(), cpu()];
  // Until the daemon is there it loads its modules.
  const started = performance.now();
  setInterval(() => {
    const [now, spent] = [performance.now(), cpu()];
    if (at - started > 3000) turn = Math.max(turn, Math.min(now - at, spent - used));
    else histogram.reset();
    [at, used] = [now, spent];
  }, 10).unref();
  setInterval(() => {
    // Renamed into place, so that the test never reads half of it.
    const file = process.env.H2K_LOOP_FILE;
    writeFileSync(`${file}.tmp`, JSON.stringify({ turn, delay: histogram.max / 1e6 }));
    renameSync(`${file}.tmp`, file);
  }, 500).unref();
}
