/* Says "r", waits for a byte, and becomes the command. */
#include <unistd.h>

int main(int argc, char **argv)
{
	char byte;

	if (argc < 2 || write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)
		return 125;
	execvp(argv[1], argv + 1);
	return 127;
}
