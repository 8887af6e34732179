import { formatSeconds } from '../text/format.js';
import type { Report } from './report.js';

export interface Summary {
  /** Colour of the verdict: proved, done without proof, failed. */
  tone: 'good' | 'caution' | 'bad';
  verdict: string;
  /** One sentence that states what is known and what is not. */
  sentence: string;
}

/**
 * Returns the summary of a report. A VM counts as booting only if the boot was observed. After several attempts, it says
 * what became of them.
 */
export function summarize(report: Report): Summary {
  const summary = summarizeLast(report);
  const { first_attempt: first, remedies } = report;
  if (first === null) return summary;
  const plans = remedies.length === 1 ? 'a second plan' : `${remedies.length} other plans`;
  const why = first.boot?.failure?.signature ?? first.boot?.warnings.map(({ code }) => code).join(', ') ?? '';
  const tried = `The first plan did not do (${why}), so ${plans} followed: ${remedies.map(({ reason }) => reason).join('; ')}.`;
  return { ...summary, sentence: `${summary.sentence} ${tried}` };
}

function summarizeLast(report: Report): Summary {
  const system = report.identity?.os_name || report.vm;
  if (report.verdict === 'failed') {
    const stage = report.failed_stage === null ? '' : ` in ${report.failed_stage.toUpperCase()}`;
    return {
      tone: 'bad',
      verdict: 'Failed',
      sentence: `The conversion stopped${stage}. The source is untouched.`,
    };
  }
  if (report.kind === 'data') {
    return report.content === null
      ? {
          tone: 'caution',
          verdict: 'Converted, not compared',
          sentence: 'A data disk, converted unchanged. The comparison with its source was disabled.',
        }
      : {
          tone: 'good',
          verdict: 'Converted and compared',
          sentence: `A data disk, with nothing to boot. Every byte equals the source, compared in ${formatSeconds(report.content.seconds)}.`,
        };
  }
  const { boot } = report;
  if (boot === null) {
    return {
      tone: 'caution',
      verdict: 'Converted, not booted',
      sentence: `${system} is converted. The boot test was disabled, so it is unknown whether it starts.`,
    };
  }
  const accelerator = boot.accelerator === 'kvm' ? 'KVM' : 'QEMU without KVM (TCG)';
  if (boot.verdict === 'booted' && boot.warnings.length > 0) {
    const what = boot.warnings.map(({ message }) => message).join('; ');
    return {
      tone: 'caution',
      verdict: 'Converted and booted, with warnings',
      sentence: `${system} came up to its login prompt in ${formatSeconds(boot.seconds)} on ${accelerator}, but not everything came up with it: ${what}.`,
    };
  }
  if (boot.verdict === 'booted') {
    return {
      tone: 'good',
      verdict: 'Converted and booted',
      sentence: `${system} came up to its login prompt in ${formatSeconds(boot.seconds)} on ${accelerator}.`,
    };
  }
  const why =
    boot.failure === null
      ? 'the time limit passed while it was still active'
      : `${boot.failure.signature}: ${boot.failure.meaning}`;
  return {
    tone: boot.verdict === 'failed' ? 'bad' : 'caution',
    verdict: boot.verdict === 'failed' ? 'Converted, does not boot' : 'Converted, boot not proven',
    sentence: `${system} reached the level “${boot.level}” on ${accelerator}; ${why}.`,
  };
}
