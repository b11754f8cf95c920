import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    // Runes for our files; those of packages keep what they were written for.
    runes: ({ filename }) => (filename.includes('node_modules') ? undefined : true),
  },
}
