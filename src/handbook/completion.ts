import type { Command } from 'commander';
import { describedProgram, flagsOf, leafCommands } from './command-facts.js';

/** What a shell completes for one command. */
interface Completed {
  words: string;
  flags: string[];
  /** Flag → the words that may follow it; null: a file. */
  values: Map<string, readonly string[] | null>;
  /** The kind of its first argument. */
  argument: 'job' | 'file' | 'none';
}

const FILE_VALUES = /<(file|dir)>/;

function completedCommands(program: Command): Completed[] {
  return leafCommands(program).map(({ words, command }) => {
    const options = command.createHelp().visibleOptions(command);
    const values = new Map<string, readonly string[] | null>();
    for (const option of options) {
      if (option.argChoices === undefined && !FILE_VALUES.test(option.flags)) continue;
      for (const flag of flagsOf(option)) values.set(flag, option.argChoices ?? null);
    }
    const first = command.registeredArguments[0]?.name();
    const argument = first === undefined ? 'none' : first === 'job' ? 'job' : 'file';
    return { words, flags: options.flatMap(flagsOf), values, argument };
  });
}

/**
 * Returns bash's completion, made from the commands' own table: commands, options and their words are fixed
 * in it; VM names are queried from the daemon, which answers at once or is not running. Pure.
 */
export function bashCompletion(): string {
  const program = describedProgram();
  const groups = program.commands.filter(({ commands }) => commands.length > 0);
  const cases = completedCommands(program).map(commandCase).join('\n');
  return `# bash completion of hyper2kvm(1), made from its table of commands.
_hyper2kvm_jobs() {
  hyper2kvm list --json 2>/dev/null | sed -n 's/^    "vm": "\\(.*\\)",$/\\1/p' | sort -u
}

_hyper2kvm() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]} flags= kind=none
  local command=\${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${[...program.commands.map((command) => command.name()), '--help', '--version'].join(' ')}' -- "$current"))
    return
  fi
${groups.map(groupCase).join('\n')}
  case $command in
${cases}
  esac
  case $current in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$current")) ;;
    *)
      case $kind in
        job) COMPREPLY=($(compgen -W "$(_hyper2kvm_jobs)" -- "$current")) ;;
        file) COMPREPLY=($(compgen -f -- "$current")) ;;
      esac
      ;;
  esac
}
complete -o filenames -o bashdefault -F _hyper2kvm hyper2kvm
`;
}

/** \`config check\`: the second word belongs to the command. */
function groupCase(group: Command): string {
  const name = group.name();
  return `  if [ "$command" = ${name} ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W '${group.commands.map((command) => command.name()).join(' ')}' -- "$current"))
      return
    fi
    command="${name} \${COMP_WORDS[2]}"
  fi`;
}

function commandCase({ words, flags, values, argument }: Completed): string {
  const byWords = new Map<string, string[]>();
  for (const [flag, candidates] of values) {
    const reply = candidates === null ? '-f' : `-W '${candidates.join(' ')}'`;
    byWords.set(reply, [...(byWords.get(reply) ?? []), flag]);
  }
  const after = [...byWords].map(
    ([reply, names]) =>
      `        ${names.join('|')}) COMPREPLY=($(compgen ${reply} -- "$current")); return ;;\n`,
  );
  return `    '${words}')
      flags='${flags.join(' ')}' kind=${argument}
      case $previous in
${after.join('')}      esac
      ;;`;
}

/** zsh uses bash's completion (zshcompsys(1), bashcompinit), so there is only one to maintain. */
export function zshCompletion(bashFile: string): string {
  return `#compdef hyper2kvm
autoload -U +X bashcompinit && bashcompinit
source ${bashFile}
_bash_complete -o filenames -o bashdefault -F _hyper2kvm
`;
}
