/* Classify digits with an exported network: no Python, no library but the system's.

   digit FILE [THREADS]    FILE holds labels (int32) and images (64 floats), one behind the other. */
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

static void draw(const float *image) {
    for (int row = 0; row < 8; row++) {
        for (int column = 0; column < 8; column++)
            putchar(" .:-=+*#%"[(int)(image[row * 8 + column] * 8)]);
        putchar('\n');
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: digit FILE [THREADS]\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    if (!file) {
        perror(argv[1]);
        return 2;
    }
    int count = argc == 3 ? atoi(argv[2]) : 1;
    digit_threads *threads = NULL; /* one thread: this one */
    if (count != 1 && !(threads = digit_start_threads(count))) {
        fprintf(stderr, "cannot start %d threads\n", count);
        return 2;
    }
    void *workspace = aligned_alloc(64, DIGIT_WORKSPACE_BYTES(count)); /* once, for all calls */

    int32_t label;
    float image[DIGIT_IMAGES_SIZE];
    int right = 0, total = 0;
    while (fread(&label, sizeof label, 1, file) == 1 && fread(image, sizeof image, 1, file) == 1) {
        int64_t found;
        float probability;
        int status = digit_run(image, &found, &probability, workspace, threads);
        if (status != DIGIT_OK) {
            fprintf(stderr, "digit_run: %s\n", digit_message(status));
            return 1;
        }
        if (total < 2) {
            draw(image);
            printf("This is a %d, with a probability of %.3f.\n\n", (int)found, probability);
        }
        right += found == label;
        total++;
    }
    printf("%d of %d digits are right, on %d thread%s.\n", right, total, count, count == 1 ? "" : "s");

    free(workspace);
    digit_stop_threads(threads);
    fclose(file);
    return 0;
}
