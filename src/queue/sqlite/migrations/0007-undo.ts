/** What was made on other hosts for a job; a row for each thing that is to be undone there, in the order of `id`. */
export const undo = `
CREATE TABLE undo_records (
  id INTEGER PRIMARY KEY,
  job TEXT NOT NULL,
  connection TEXT NOT NULL,
  what TEXT NOT NULL,
  target TEXT NOT NULL,
  UNIQUE (job, connection, what, target)
) STRICT;
`;
