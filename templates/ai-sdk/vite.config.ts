import { cloudflare } from "@cloudflare/vite-plugin";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Local development needs no login. The deployment stays closed until you configure one.
const onThisMachine = { config: { vars: { AUTH: "none" } } };

export default defineConfig(({ command }) => ({
  // Minify the worker, too: a smaller worker starts faster.
  build: { minify: true },
  plugins: [react(), cloudflare(command === "serve" ? onThisMachine : {})],
}));
