package rules

// Bounds of what is looked at in search of card numbers, in bytes.
const (
	maxLuhn     = 64
	maxCardText = 16 << 10
	minCard     = 13 // digits
	maxCard     = 19
)

// Luhn tells whether the text is a number of 13 to 19 digits, perhaps with single spaces or dashes between them, that the check of
// ISO/IEC 7812-1, annex B (Luhn's) accepts. Texts above 64 bytes are none.
//
//	Luhn("4111 1111 1111 1111") == true
func Luhn(s string) bool {
	if len(s) > maxLuhn {
		return false
	}
	digits, end := cardDigits(s, new([maxCard + 1]byte))
	return end == len(s) && len(digits) >= minCard && len(digits) <= maxCard && luhnSum(digits)
}

// HasCardNumber tells whether a payment card's number stands in the text: a number that Luhn accepts, of the length that its
// first digits demand (Visa, Mastercard, American Express, Discover, Diners Club, JCB, UnionPay), with no digit or letter beside it.
// One of ten numbers passes Luhn's check by chance, one of sixty this. It looks at the first 16 KiB.
//
//	HasCardNumber("card=4111-1111-1111-1111&cvc=1") == true
func HasCardNumber(s string) bool {
	s = s[:min(len(s), maxCardText)]
	var buf [maxCard + 1]byte
	for i := 0; i < len(s); {
		if !isDigit(s[i]) {
			i++
			continue
		}
		digits, n := cardDigits(s[i:], &buf)
		if issued(digits) && (i == 0 || !isAlnum(s[i-1])) && (i+n == len(s) || !isAlnum(s[i+n])) && luhnSum(digits) {
			return true
		}
		i += n
	}
	return false
}

// cardDigits reads digits, single spaces and dashes between them left out, and returns how far it got. Of more than 19 digits it
// returns 20.
func cardDigits(s string, buf *[maxCard + 1]byte) (digits []byte, end int) {
	digits = buf[:0]
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isDigit(c):
			if len(digits) < len(buf) {
				digits = append(digits, c)
			}
			end = i + 1
		case (c == ' ' || c == '-') && i == end && i > 0:
		default:
			return digits, end
		}
	}
	return digits, end
}

func luhnSum(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// issued tells whether cards are issued with these first digits and this length.
func issued(d []byte) bool {
	n := len(d)
	if n < minCard || n > maxCard {
		return false
	}
	four := int(d[0]-'0')*1000 + int(d[1]-'0')*100 + int(d[2]-'0')*10 + int(d[3]-'0')
	between := func(low, high int) bool { return four >= low && four <= high }
	switch {
	case between(4000, 4999): // Visa
		return n == 13 || n == 16 || n == 19
	case between(5100, 5599), between(2221, 2720): // Mastercard
		return n == 16
	case between(3400, 3499), between(3700, 3799): // American Express
		return n == 15
	case between(3000, 3059), between(3600, 3699), between(3800, 3999): // Diners Club
		return n == 14 || n == 16
	case between(6011, 6011), between(6440, 6599), between(3528, 3589), between(6200, 6299): // Discover, JCB, UnionPay
		return n >= 16
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlnum(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
