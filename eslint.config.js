import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    files: ["static/js/**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    rules: {
      eqeqeq: "error",
      "no-implicit-globals": "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-param-reassign": "off",
      "max-lines": ["error", { max: 450 }],
      "max-lines-per-function": ["error", { max: 70 }],
    },
  },
  { files: ["tests/web/**/*.mjs"], languageOptions: { ecmaVersion: 2024, globals: globals.node } },
];
