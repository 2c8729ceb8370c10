package coverage

import "strings"

// AttackVersion is the version of Enterprise ATT&CK that the names and tactics are of: https://attack.mitre.org/resources/versions/.
const AttackVersion = "17"

// techniques are those of Enterprise ATT&CK that a rule over an API's traffic may carry: id, tactics, name. A technique that is not
// here is shown by its id. © The MITRE Corporation; reproduced with its permission: https://attack.mitre.org/resources/legal-and-branding/.
const techniques = `
T1020 exfiltration Automated Exfiltration
T1027 defense-evasion Obfuscated Files or Information
T1030 exfiltration Data Transfer Size Limits
T1036 defense-evasion Masquerading
T1036.005 defense-evasion Match Legitimate Resource Name or Location
T1040 credential-access,discovery Network Sniffing
T1041 exfiltration Exfiltration Over C2 Channel
T1046 discovery Network Service Discovery
T1048 exfiltration Exfiltration Over Alternative Protocol
T1059 execution Command and Scripting Interpreter
T1059.001 execution PowerShell
T1059.003 execution Windows Command Shell
T1059.004 execution Unix Shell
T1059.006 execution Python
T1059.007 execution JavaScript
T1068 privilege-escalation Exploitation for Privilege Escalation
T1069 discovery Permission Groups Discovery
T1071 command-and-control Application Layer Protocol
T1071.001 command-and-control Web Protocols
T1078 defense-evasion,persistence,privilege-escalation,initial-access Valid Accounts
T1078.001 defense-evasion,persistence,privilege-escalation,initial-access Default Accounts
T1078.004 defense-evasion,persistence,privilege-escalation,initial-access Cloud Accounts
T1082 discovery System Information Discovery
T1083 discovery File and Directory Discovery
T1087 discovery Account Discovery
T1087.004 discovery Cloud Account
T1090 command-and-control Proxy
T1090.002 command-and-control External Proxy
T1090.003 command-and-control Multi-hop Proxy
T1098 persistence,privilege-escalation Account Manipulation
T1102 command-and-control Web Service
T1105 command-and-control Ingress Tool Transfer
T1110 credential-access Brute Force
T1110.001 credential-access Password Guessing
T1110.002 credential-access Password Cracking
T1110.003 credential-access Password Spraying
T1110.004 credential-access Credential Stuffing
T1111 credential-access Multi-Factor Authentication Interception
T1119 collection Automated Collection
T1133 persistence,initial-access External Remote Services
T1136 persistence Create Account
T1136.003 persistence Cloud Account
T1140 defense-evasion Deobfuscate/Decode Files or Information
T1185 collection Browser Session Hijacking
T1189 initial-access Drive-by Compromise
T1190 initial-access Exploit Public-Facing Application
T1195 initial-access Supply Chain Compromise
T1199 initial-access Trusted Relationship
T1203 execution Exploitation for Client Execution
T1210 lateral-movement Exploitation of Remote Services
T1211 defense-evasion Exploitation for Defense Evasion
T1212 credential-access Exploitation for Credential Access
T1213 collection Data from Information Repositories
T1485 impact Data Destruction
T1491 impact Defacement
T1491.002 impact External Defacement
T1496 impact Resource Hijacking
T1498 impact Network Denial of Service
T1498.001 impact Direct Network Flood
T1499 impact Endpoint Denial of Service
T1499.001 impact OS Exhaustion Flood
T1499.002 impact Service Exhaustion Flood
T1499.003 impact Application Exhaustion Flood
T1499.004 impact Application or System Exploitation
T1505 persistence Server Software Component
T1505.003 persistence Web Shell
T1526 discovery Cloud Service Discovery
T1528 credential-access Steal Application Access Token
T1530 collection Data from Cloud Storage
T1531 impact Account Access Removal
T1539 credential-access Steal Web Session Cookie
T1548 privilege-escalation,defense-evasion Abuse Elevation Control Mechanism
T1550 defense-evasion,lateral-movement Use Alternate Authentication Material
T1550.001 defense-evasion,lateral-movement Application Access Token
T1550.004 defense-evasion,lateral-movement Web Session Cookie
T1552 credential-access Unsecured Credentials
T1552.001 credential-access Credentials In Files
T1552.004 credential-access Private Keys
T1552.005 credential-access Cloud Instance Metadata API
T1556 credential-access,defense-evasion,persistence Modify Authentication Process
T1557 credential-access,collection Adversary-in-the-Middle
T1565 impact Data Manipulation
T1565.001 impact Stored Data Manipulation
T1566 initial-access Phishing
T1567 exfiltration Exfiltration Over Web Service
T1572 command-and-control Protocol Tunneling
T1580 discovery Cloud Infrastructure Discovery
T1583 resource-development Acquire Infrastructure
T1584 resource-development Compromise Infrastructure
T1586 resource-development Compromise Accounts
T1588 resource-development Obtain Capabilities
T1589 reconnaissance Gather Victim Identity Information
T1589.001 reconnaissance Credentials
T1589.002 reconnaissance Email Addresses
T1590 reconnaissance Gather Victim Network Information
T1592 reconnaissance Gather Victim Host Information
T1592.002 reconnaissance Software
T1593 reconnaissance Search Open Websites/Domains
T1594 reconnaissance Search Victim-Owned Websites
T1595 reconnaissance Active Scanning
T1595.001 reconnaissance Scanning IP Blocks
T1595.002 reconnaissance Vulnerability Scanning
T1595.003 reconnaissance Wordlist Scanning
T1606 credential-access Forge Web Credentials
T1606.001 credential-access Web Cookies
T1606.002 credential-access SAML Tokens
T1609 execution Container Administration Command
T1610 defense-evasion,execution Deploy Container
T1611 privilege-escalation Escape to Host
T1621 credential-access Multi-Factor Authentication Request Generation
T1649 credential-access Steal or Forge Authentication Certificates
T1657 impact Financial Theft
`

// Describe returns what is known of a technique, such as T1110.004. Its page is known even when its name is not.
func Describe(id string) Technique {
	t := Technique{ID: id, URL: "https://attack.mitre.org/techniques/" + strings.ReplaceAll(id, ".", "/") + "/", Rules: []string{}}
	_, rest, ok := strings.Cut(techniques, "\n"+id+" ")
	if !ok {
		return t
	}
	line, _, _ := strings.Cut(rest, "\n")
	tactics, name, _ := strings.Cut(line, " ")
	t.Tactics, t.Name = strings.Split(tactics, ","), name
	return t
}
