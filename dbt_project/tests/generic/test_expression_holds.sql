{% test expression_holds(model, expression) %}
{# A row for which the expression is false or unknown is a violation. #}
select *
from {{ model }}
where not coalesce({{ expression }}, false)
{% endtest %}
