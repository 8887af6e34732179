/** Endings of a file while it is written: by browsers, SFTP clients, download tools. */
const PARTIAL =
  /\.(?:part|parts|tmp|temp|filepart|crdownload|partial|download|opdownload|unconfirmed|fdmdownload|dctmp|dtapart|downloading|xltd|!ut|!qb|!bt|bc!|jc!)$/i;
/**
 * What a download tool keeps beside a file that has its full size and its own name from the start: aria2,
 * axel, lftp, Thunder. The shorter ones count only behind another ending: `web01.raw.st`.
 */
const STATE = /\.aria2(?:__temp)?$|[.-]lftp-pget-status$|(?<=\.[a-z0-9]{2,5})\.(?:st|td|td\.cfg)$/i;

/** All of those endings that a tool puts behind the name of the whole file, to look for beside one. */
export const PARTIAL_ENDINGS: readonly string[] = [
  ...['.aria2', '.aria2__temp', '.st', '.td', '.td.cfg', '.lftp-pget-status', '-lftp-pget-status'],
  ...['.part', '.parts', '.tmp', '.temp', '.filepart', '.crdownload', '.partial', '.download', '.opdownload'],
  ...[
    '.unconfirmed',
    '.fdmdownload',
    '.dctmp',
    '.dtapart',
    '.downloading',
    '.xltd',
    '.!ut',
    '.!qB',
    '.!bt',
    '.bc!',
    '.jc!',
  ],
];

/**
 * Returns the name of the file that is not whole as long as `name` is there: the name it will have, or the
 * one beside it. Null where `name` is neither a partial file nor a download's state.
 */
export function finalName(name: string): string | null {
  const final = name.replace(STATE, '').replace(PARTIAL, '');
  return final === name ? null : final;
}
