import { stringify } from 'smol-toml';
import { optionTable } from '../config/option-table.js';

/**
 * Returns the annotated default configuration, `config/hyper2kvm.toml`: every option with its documentation
 * and default, commented out, so that a file made from it follows the defaults of later versions.
 */
export function annotatedDefaults(): string {
  const lines = [
    '# hyper2kvm: every option with its default. Uncomment the options that you change.',
    '# Read from /etc/hyper2kvm/config.toml; each option can also be set by the variable HYPER2KVM_<TABLE>_<KEY>.',
    '# [SIGHUP]: applied by `systemctl reload hyper2kvm`, others need a restart. [job.toml]: also allowed in a job.toml.',
  ];
  let table = '';
  for (const option of optionTable()) {
    if (option.table !== table) {
      table = option.table;
      lines.push('', `[${table}]`);
    }
    const marks = `${option.reload ? ' [SIGHUP]' : ''}${option.setBy === 'dropper' ? ' [job.toml]' : ''}`;
    lines.push(`# ${option.description}${marks}`);
    if (option.type !== 'string') lines.push(`# ${option.type}`);
    lines.push(`#${stringify({ [option.name]: option.default }).trim()}`);
  }
  return `${lines.join('\n')}\n`;
}
