/** The identity provider of the scenario: publishes what DOCUMENTS (JSON: path → document) says. */
import { serveByFiles } from './tls-files.ts';

const documents = new Map(Object.entries(JSON.parse(process.env['DOCUMENTS'] ?? '{}') as Record<string, unknown>));

serveByFiles((request, response) => {
  const document = documents.get(request.url ?? '');
  response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(document ?? { error: 'not_found' }));
});
