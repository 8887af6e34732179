import type { Operation } from '../operations/registry.js';
import { formatCount } from '../text/format.js';
import { type Markup, markup } from '../text/markup.js';
import { type DiffLine, operationDiff, operationTitle } from './diff.js';
import type { Report } from './report.js';

/** A longer diff is cut here and complete in plan.diff; one longer than `OPEN_LINES` starts folded. */
const SHOWN_LINES = 400;
const OPEN_LINES = 60;

/**
 * Returns each planned operation with its reason and diff (from `diffs` if it is there), the warnings, and
 * what was read back afterwards.
 */
export function changesSection(
  { plan, warnings, proofs }: Report,
  diffs: ReadonlyMap<Operation, DiffLine[]> = new Map(),
): Markup | null {
  if (plan === null) return warningList(warnings);
  return markup`<h2>Changes in the guest <small>${plan.length === 0 ? 'none were needed' : formatCount(plan.length, 'operation')}</small></h2>
${plan.map((operation) => operationDetails(operation, diffs.get(operation) ?? operationDiff(operation)))}
${warningList(warnings)}
${
  proofs.length === 0
    ? null
    : markup`<h2>Read back and verified</h2><div class="card"><ul class="plain">${proofs.map((proof) => markup`<li>${proof}</li>`)}</ul></div>`
}`;
}

function warningList(warnings: Report['warnings']): Markup | null {
  if (warnings.length === 0) return null;
  return markup`<h2>Warnings</h2><div class="card"><ul class="plain">${warnings.map(
    (warning) =>
      markup`<li>${warning.message} <span class="digest mono">${warning.fixer} · ${warning.code}</span></li>`,
  )}</ul></div>`;
}

function operationDetails(operation: Operation, lines: readonly DiffLine[]): Markup {
  const { verb, object } = operationTitle(operation);
  const cut = lines.length - SHOWN_LINES;
  const diff = lines
    .slice(0, SHOWN_LINES)
    .map((line) => markup`<span class="${line.kind}">${line.text}</span>`);
  return markup`<details${lines.length <= OPEN_LINES ? markup` open` : null}>
<summary><span class="fixer">${operation.fixer}</span><span class="chip">${verb}</span><span class="mono">${object}</span></summary>
<p class="reason">${operation.reason}</p>
${lines.length === 0 ? null : markup`<pre class="diff">${diff}${cut > 0 ? markup`<span class="hunk">… ${formatCount(cut, 'more line')} in plan.diff</span>` : null}</pre>`}
</details>`;
}
