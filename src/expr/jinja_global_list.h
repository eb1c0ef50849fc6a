/*
 * jinja_global_list.h
 *		Jinja2's global functions: name, implementation, signature.
 */
JINJA("range", jinja_g_range, "/start,/stop=,/step=")
JINJA("dict", jinja_g_dict, "/mapping=,**")
JINJA("lipsum", jinja_g_lipsum, "n=,html=,min=,max=")
JINJA("cycler", jinja_g_cycler, "*")
JINJA("joiner", jinja_g_joiner, "sep=")
JINJA("namespace", jinja_g_namespace, "/mapping=,**")
