package coverage

import "strings"

// Named returns the name and the page of what a tag of another list stands for: owasp.a03 of the OWASP Top 10 2021
// (https://owasp.org/Top10/), owasp.llm01 of the OWASP Top 10 for LLM applications 2025 (https://genai.owasp.org/llm-top-10/), atlas.t0051
// of MITRE ATLAS (https://atlas.mitre.org). The name is empty when it is not known.
func Named(tag string) (name, url string) {
	list, id, _ := strings.Cut(strings.ToLower(tag), ".")
	switch {
	case list == "owasp" && strings.HasPrefix(id, "llm"):
		return entry(llm, id, "OWASP "+strings.ToUpper(id)+":2025 "), "https://genai.owasp.org/llm-top-10/"
	case list == "owasp":
		name = entry(web, id, "")
		if name == "" {
			return "", ""
		}
		page := strings.ReplaceAll(name, " ", "_")
		if id == "a10" {
			page += "_%28SSRF%29"
		}
		id = strings.ToUpper(id)
		return "OWASP " + id + ":2021 " + name, "https://owasp.org/Top10/" + id + "_2021-" + page + "/"
	case list == "atlas":
		return entry(atlas, id, "MITRE ATLAS AML."+strings.ToUpper(id)+" "), "https://atlas.mitre.org/techniques/AML." + strings.ToUpper(id)
	}
	return "", ""
}

// entry looks the id up in a table of lines "id name", and puts the text before what it finds.
func entry(table, id, before string) string {
	_, rest, ok := strings.Cut(table, "\n"+id+" ")
	if !ok || id == "" {
		return ""
	}
	name, _, _ := strings.Cut(rest, "\n")
	return before + name
}

const web = `
a01 Broken Access Control
a02 Cryptographic Failures
a03 Injection
a04 Insecure Design
a05 Security Misconfiguration
a06 Vulnerable and Outdated Components
a07 Identification and Authentication Failures
a08 Software and Data Integrity Failures
a09 Security Logging and Monitoring Failures
a10 Server-Side Request Forgery
`

const llm = `
llm01 Prompt Injection
llm02 Sensitive Information Disclosure
llm03 Supply Chain
llm04 Data and Model Poisoning
llm05 Improper Output Handling
llm06 Excessive Agency
llm07 System Prompt Leakage
llm08 Vector and Embedding Weaknesses
llm09 Misinformation
llm10 Unbounded Consumption
`

// atlas are the techniques that a rule over an API's traffic may carry.
const atlas = `
t0024 Exfiltration via AI Inference API
t0029 Denial of AI Service
t0034 Cost Harvesting
t0040 AI Model Inference API Access
t0043 Craft Adversarial Data
t0051 LLM Prompt Injection
t0054 LLM Jailbreak
t0056 Extract LLM System Prompt
t0057 LLM Data Leakage
`
