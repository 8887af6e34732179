import { BOOT_LEVELS, type Boot } from '../model/boot.js';
import { bootVerdict, formatSeconds, shellWord } from '../text/format.js';
import { type Markup, markup } from '../text/markup.js';
import type { Report } from './report.js';

export interface Screenshot {
  file: string;
  at_seconds: number;
  level: string;
  png: Uint8Array;
}

/**
 * Returns the boot test: how far it came and by what evidence, the guest's report, the screenshots, the end
 * of the serial log.
 */
export function bootSection(
  { boot }: Report,
  screens: readonly Screenshot[],
  serialTail: string,
): Markup | null {
  if (boot === null) return null;
  return markup`<h2>Boot test <small>${bootVerdict(boot)}, level ${boot.level}, ${formatSeconds(boot.seconds)} on ${boot.accelerator.toUpperCase()}, ${boot.firmware.toUpperCase()}</small></h2>
<div class="card">${bootDetails(boot, screens)}</div>
${guestFacts(boot)}
${serialTail === '' ? null : markup`<details><summary>Serial console, last lines</summary><pre class="log">${serialTail}</pre></details>`}
<details><summary>QEMU’s command line${boot.evidence_changes.length > 0 ? ' and what the temporary overlay adds' : ''}</summary>
<pre class="log">${boot.command_line.map(shellWord).join(' ')}</pre>
${boot.evidence_changes.length === 0 ? null : markup`<pre class="log">${boot.evidence_changes.join('\n')}</pre>`}</details>`;
}

/** Returns how far a boot came and what shows it. */
export function bootDetails(boot: Boot, screens: readonly Screenshot[]): Markup {
  return markup`${levels(boot)}${failure(boot)}${warnings(boot)}${evidence(boot)}${figures(screens)}`;
}

function levels(boot: Boot): Markup {
  const reached = BOOT_LEVELS.indexOf(boot.level);
  const items = BOOT_LEVELS.slice(1).map((level, index) => {
    const at = boot.evidence.find((item) => item.level === level)?.at_seconds;
    const state =
      index + 1 <= reached
        ? 'reached'
        : index + 1 === reached + 1 && boot.verdict === 'failed'
          ? 'stopped'
          : 'ahead';
    return markup`<li class="${state}"><b>${level}</b>${at === undefined ? '' : formatSeconds(at)}</li>`;
  });
  return markup`<ol class="levels">${items}</ol>`;
}

function failure({ failure: found }: Boot): Markup | null {
  if (found === null) return null;
  return markup`<p><code>${found.signature}</code> ${found.meaning}<br><b>${found.advice}</b></p>`;
}

function warnings({ warnings: found }: Boot): Markup[] {
  return found.map(({ code, message }) => markup`<p><code>${code}</code> ${message}</p>`);
}

function evidence({ evidence: items }: Boot): Markup | null {
  if (items.length === 0) return null;
  return markup`<div class="scroll"><table><thead><tr><th class="num">at</th><th>level</th><th>seen on</th><th>evidence</th></tr></thead><tbody>
${items.map(
  (item) =>
    markup`<tr><td class="num">${formatSeconds(item.at_seconds)}</td><td class="key">${item.level}</td><td class="key">${item.source}</td><td class="mono">${item.text}</td></tr>`,
)}</tbody></table></div>`;
}

function figures(screens: readonly Screenshot[]): Markup | null {
  if (screens.length === 0) return null;
  return markup`<div class="screens">${screens.map(
    ({ png, level, at_seconds, file }) => markup`<figure>
<img alt="The VM’s screen at level ${level}" src="data:image/png;base64,${Buffer.from(png).toString('base64')}">
<figcaption>${level}, ${formatSeconds(at_seconds)} · ${file}</figcaption></figure>`,
  )}</div>`;
}

function guestFacts({ guest }: Boot): Markup | null {
  if (guest === null) return null;
  const row = (name: string, values: readonly string[], none: string) =>
    markup`<tr><th>${name}</th><td class="mono">${values.length === 0 ? none : values.join(', ')}</td></tr>`;
  const disks = guest.mounts.filter(({ device }) => device.startsWith('/'));
  const mounted = disks.map(({ device, mountpoint, type }) => `${mountpoint} (${device}, ${type})`);
  return markup`<h2>The guest’s own report</h2><div class="card"><table class="facts">
${row('addresses', guest.addresses, 'none')}
${row('mounted', mounted, 'none')}
${row('missing mounts', guest.missing_mounts, 'none: all of fstab is mounted')}
${row('swap', guest.swaps, 'none')}
${row('failed units', guest.failed_units, 'none')}
</table></div>`;
}
