import type { PassedOver } from '../model/drop.js';
import type { DeviceTraffic, SourceFile } from '../model/report.js';
import type { Operation } from '../operations/registry.js';
import { formatBytes, formatCount, formatSeconds, formatTime } from '../text/format.js';
import { Markup, markup } from '../text/markup.js';
import type { AttemptEvidence } from './attempts.js';
import type { DiffLine } from './diff.js';
import { attemptsSection } from './html-attempts.js';
import { bootSection, type Screenshot } from './html-boot.js';
import { changesSection } from './html-changes.js';
import { identitySection } from './html-identity.js';
import { STYLE } from './html-style.js';
import type { Report } from './report.js';
import { summarize } from './summary.js';

/** What the page shows beside the report itself. */
export interface Attachments {
  screens: readonly Screenshot[];
  /** The last lines of the serial log; empty without one. */
  serialTail: string;
  /** Of the attempts before the last, in order. */
  attempts?: readonly AttemptEvidence[];
  /** The operations' diffs, if they were computed before (`operationDiffs`). */
  diffs?: ReadonlyMap<Operation, DiffLine[]>;
}

/**
 * Returns report.html: one page without scripts and external resources. Every value goes through `markup`,
 * which escapes it; the policy in the head makes the browser refuse anything that slips through.
 */
export function reportHtml(report: Report, attachments: Attachments): string {
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${report.vm}: ${summarize(report).verdict}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body><main>
${header(report)}
${errorCard(report)}
${tiles(report)}
${startSection(report)}
${bootSection(report, attachments.screens, attachments.serialTail)}
${attemptsSection(report, attachments.attempts ?? [])}
${changesSection(report, attachments.diffs)}
${stagesSection(report)}
${identitySection(report)}
${filesSection(report)}
<footer>hyper2kvm ${report.versions.hyper2kvm} · QEMU ${report.versions.qemu ?? 'unknown'} · libguestfs ${report.versions.libguestfs ?? 'unknown'} · the same facts for machines: report.json</footer>
</main></body></html>
`;
  return page.text;
}

function header(report: Report): Markup {
  const summary = summarize(report);
  return markup`<header>
<div class="eyebrow">hyper2kvm · job ${report.job} · ${formatTime(report.finished_at)}</div>
<h1>${report.vm}</h1>
<span class="verdict ${summary.tone}">${summary.verdict}</span>
<p class="lead">${summary.sentence}</p>
</header>`;
}

function errorCard({ error }: Report): Markup | null {
  if (error === null) return null;
  return markup`<section class="card error" style="margin-top:20px">
<code>${error.code}</code>
<p>${error.message}</p>
${error.advice === '' ? null : markup`<p class="advice">${error.advice}</p>`}
${error.causes.map((cause) => markup`<p class="mono">caused by: ${cause}</p>`)}
</section>`;
}

function tile(value: string, label: string): Markup {
  return markup`<div class="card tile"><b>${value}</b><span>${label}</span></div>`;
}

function tiles(report: Report): Markup {
  const total = (Date.parse(report.finished_at) - Date.parse(report.started_at)) / 1000;
  const parts = [tile(formatSeconds(total), 'from claim to bundle')];
  if (report.boot !== null)
    parts.push(tile(formatSeconds(report.boot.seconds), `boot, level ${report.boot.level}`));
  if (report.plan !== null) parts.push(tile(formatCount(report.plan.length, 'change'), 'made in the guest'));
  if (report.disks.length > 0) {
    const allocated = report.disks.reduce((sum, disk) => sum + disk.allocated, 0);
    const virtual = report.disks.reduce((sum, disk) => sum + disk.virtual_size, 0);
    parts.push(
      tile(
        formatBytes(allocated),
        `in ${formatCount(report.disks.length, 'disk')} of ${formatBytes(virtual)}`,
      ),
    );
  }
  return markup`<div class="tiles">${parts}</div>`;
}

function startSection({ start }: Report): Markup | null {
  if (start === null) return null;
  return markup`<h2>Start it <small>on the host that converted it</small></h2>
<pre class="card">${start.libvirt.join('\n')}</pre>
<p>Or without libvirt; the screen is a VNC server, the first serial port the terminal:</p>
<pre class="card">${start.qemu}</pre>`;
}

function stagesSection({ stages, started_at, finished_at, device }: Report): Markup {
  const start = Date.parse(started_at);
  const total = Math.max(1, Date.parse(finished_at) - start);
  const rows = stages.map((stage) => {
    const left =
      stage.started_at === null ? 0 : clampPercent(((Date.parse(stage.started_at) - start) / total) * 100);
    const width = Math.min(100 - left, clampPercent((stage.seconds * 100_000) / total));
    const ran = stage.status !== 'skipped' && stage.status !== 'pending';
    const note =
      stage.attempts > 1
        ? `${stage.attempts} attempts`
        : ran && stage.status === 'completed'
          ? ''
          : stage.status;
    return markup`<div class="name">${stage.stage}</div>
<div class="track">${ran ? markup`<div class="bar ${stage.status}" style="left:${left.toFixed(2)}%;width:${width.toFixed(2)}%"></div>` : null}${note === '' ? null : markup`<span class="note">${note}</span>`}</div>
<div class="num">${ran ? formatSeconds(stage.seconds) : '–'}</div>
<div class="num bytes">${stage.bytes_read > 0 ? formatBytes(stage.bytes_read) : '–'}</div>
<div class="num bytes">${stage.bytes_written > 0 ? formatBytes(stage.bytes_written) : '–'}</div>`;
  });
  return markup`<h2>Stages</h2>
<div class="card stages">
<div class="head">stage</div><div class="head"></div><div class="head num">time</div><div class="head num bytes">read</div><div class="head num bytes">written</div>
${rows}</div>
${device === null ? null : trafficLine(device)}`;
}

function trafficLine({ read, used, written, delivered }: DeviceTraffic): Markup {
  return markup`<p>CONVERT and the digests read ${formatBytes(read)} from disks, of a source with ${formatBytes(used)} in use, and wrote ${formatBytes(written)} for disks of ${formatBytes(delivered)}.</p>`;
}

function clampPercent(value: number): number {
  return Math.max(0, Math.min(100, value));
}

function filesSection(report: Report): Markup | null {
  const files = sourceRows(report);
  if (report.disks.length === 0 && files.length === 0) return null;
  const disks = report.disks.map(
    (disk) =>
      markup`<tr><td><span class="mono">${disk.file}</span><br><span class="digest mono">${disk.sha256}</span></td><td>${disk.format}</td><td class="num">${formatBytes(disk.virtual_size)}</td><td class="num">${formatBytes(disk.allocated)}</td></tr>`,
  );
  const source = files.map(
    (file) =>
      markup`<tr><td><span class="mono">${file.path}</span><br><span class="digest mono">${file.sha256}</span></td><td>${file.kind}</td><td class="num">${formatBytes(file.size)}</td><td></td></tr>`,
  );
  const passedOver = report.passed_over.map(
    ({ path, reason }) => markup`<li><span class="mono">${path}</span>: ${PASSED_OVER[reason]}</li>`,
  );
  return markup`<h2>Files <small>SHA-256 under each name</small></h2>
<div class="card scroll"><table><thead><tr><th>file</th><th>format</th><th class="num">size</th><th class="num">allocated</th></tr></thead><tbody>${disks}${source}</tbody></table></div>
${passedOver.length === 0 ? null : markup`<h2>Ignored files <small>files of the drop that are not part of a disk</small></h2><div class="card"><ul class="plain">${passedOver}</ul></div>`}`;
}

/** The files of the drop, and those that were fetched. */
function sourceRows({ source }: Report): (SourceFile & { kind: string })[] {
  const dropped = Array.isArray(source) ? source : source.dropped;
  const fetched = Array.isArray(source) ? [] : source.files;
  return [
    ...dropped.map((file) => ({ ...file, kind: 'source' })),
    ...fetched.map(({ name, ...file }) => ({ ...file, path: name, kind: 'fetched' })),
  ];
}

const PASSED_OVER: Record<PassedOver['reason'], string> = {
  hidden: 'hidden, like the files that macOS adds beside others',
  'change-tracking': 'VMware’s changed block tracking',
  'not-a-disk': 'not a disk image',
  'not-used': 'an image that no disk of the VM builds on',
};
