/**
 * Takes PostgreSQL's own variables (`PGSSLMODE`, `PGOPTIONS`, …; its manual, "Environment Variables") out of this process's
 * environment. They are meant for another server; pg would read them for whatever the embedded one's address leaves open,
 * here and in the workers, which inherit this environment.
 */
export function ignorePgVariables(): void {
  for (const name of Object.keys(process.env)) if (/^PG[A-Z]/.test(name)) delete process.env[name];
}
