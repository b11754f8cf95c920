// Every screen and state: what `make screenshots` takes pictures of and the browser tests look at with axe.
// `server` is one of full, empty; `go` opens it and returns when it shows what it should.
export const screens = [
  { name: 'workflows', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByRole('link', { name: 'Lead intake' }).waitFor() } },
  { name: 'workflows-no-match', server: 'full', go: async (p) => { await p.goto(p.base + '/workflows?q=zebra'); await p.getByText('No workflow matches').waitFor() } },
  { name: 'workflows-empty', server: 'empty', go: async (p) => { await p.goto(p.base + '/workflows'); await p.getByText('Nothing is automated yet').waitFor() } },
  { name: 'workflows-error', server: 'full', faults: true, go: async (p) => { await p.route('**/api/v1/workflows*', (r) => r.abort()); await p.goto(p.base + '/workflows'); await p.getByRole('alert').waitFor() } },
  { name: 'workflows-loading', server: 'full', go: async (p) => { await p.route('**/api/v1/workflows*', () => {}); await p.goto(p.base + '/workflows'); await p.locator('.bone').first().waitFor() } },
  { name: 'missing', server: 'full', go: async (p) => { await p.goto(p.base + '/nowhere'); await p.getByText('There is no such page').waitFor() } },
]
