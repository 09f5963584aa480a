import type { Status } from './status.ts';

/**
 * The primary's page for people. Everything on it is our own text and numbers, so nothing needs escaping.
 *
 * @param status null without the token: then the page has the addresses only
 */
export function renderHome(status: Status | null): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fake Shop: primary</title>
</head>
<body>
<h1>Fake Shop: primary</h1>
<ul>
<li><a href="/metrics">/metrics</a>: the whole cluster, for Prometheus; <code>?worker=2</code> shows one worker alone</li>
<li><a href="/status">/status</a>: the cluster's processes as JSON</li>
<li><a href="/livez">/livez</a> and <a href="/readyz">/readyz</a>: health, for a load balancer</li>
</ul>
${status ? renderStatus(status) : '<p>The numbers want the header <code>Authorization: Bearer …</code>.</p>'}
</body>
</html>
`;
}

function renderStatus({ primary, workers, database }: Status): string {
  const rows = workers.map(
    ({ worker, pid, state, startedAt, restarts }) =>
      `<tr><td><a href="/metrics?worker=${worker}">${worker}</a></td><td>${state}</td><td>${pid ?? '–'}</td><td>${startedAt ?? '–'}</td><td>${restarts}</td></tr>`,
  );
  return `<p>Version ${primary.version}, process ${primary.pid}, runs since ${primary.startedAt}.
The ${database.embedded ? 'embedded ' : ''}database is ${database.up ? 'up' : 'down'}.</p>
<table>
<thead><tr><th>Worker</th><th>State</th><th>Process</th><th>Since</th><th>Restarts</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table>`;
}
